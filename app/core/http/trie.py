"""How an address finds its operation: by its path segments, at a cost that does not grow with the number of routes.

Each operation answers at its canonical address (`/api/v1/projects/`), at the bare one (`/projects/`), and with or
without the trailing slash: directly, never by a redirect (docs/decisions/0005-one-route-four-addresses.md).
"""

from collections.abc import Iterable
from typing import NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.core.errors import AppError, MethodNotAllowedError, NotFoundError
from app.core.guards import DEFAULT
from app.core.http.problems import answer_to
from app.core.ratelimit.limiter import ALLOWANCE, Allowance

API_PREFIX = "/api/v1"


class _Node:
    """One path segment: where its children lead, and the operations that end here."""

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.operations: dict[str, tuple[APIRoute, tuple[str, ...]]] = {}

    def add(self, route: APIRoute, segments: list[str]) -> None:
        node, names = self, []
        for segment in segments:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        for method in route.methods or ():
            node.operations[method] = (route, tuple(names))
            if method == "GET":
                node.operations.setdefault("HEAD", (route, tuple(names)))

    def find(self, segments: list[str]) -> tuple["_Node", list[str]] | None:
        node: _Node | None = self
        values: list[str] = []
        for segment in segments:
            if node is None:
                return None
            child = node.children.get(segment)
            if child is None:
                values.append(segment)
                child = node.parameter
            node = child
        return (node, values) if node is not None and node.operations else None


class Dispatcher(BaseRoute):
    """All operations of the application as one route of the FastAPI router."""

    def __init__(self, routes: Iterable[APIRoute]) -> None:
        self.routes = list(routes)
        self._root, self._api = _Node(), _Node()
        for route in self.routes:
            if route.path.startswith(API_PREFIX + "/"):
                self._api.add(route, _segments(route.path.removeprefix(API_PREFIX)))
            else:
                self._root.add(route, _segments(route.path))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Find the operation, or the address under another method (answered 405 with all that it allows), or neither
        (answered 404 here, so that it is counted).
        """
        if scope["type"] != "http":
            return Match.NONE, {}
        path: str = scope["path"]
        if path.startswith(API_PREFIX + "/"):
            found = self._api.find(_segments(path[len(API_PREFIX) :]))
        else:
            segments = _segments(path)
            found = self._root.find(segments) or self._api.find(segments)
        if found is None:
            return Match.FULL, {"taller.allowed": None}
        node, values = found
        operation = node.operations.get(scope["method"])
        if operation is None:
            return Match.FULL, {"taller.allowed": sorted(node.operations)}
        route, names = operation
        return Match.FULL, {
            "route": route,
            "endpoint": route.endpoint,
            "path_params": dict(zip(names, values, strict=True)),
        }

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the operation that `matches` found, and send what it answers or why it is refused."""
        request = Request(scope, receive, send)
        try:
            if "taller.allowed" in scope:
                _refuse_address(scope)
            response: Response = await scope["route"].answer(request)
        except (AppError, HTTPException) as error:
            response = answer_to(request, error)
        await response(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the operation and run it, or answer that there is none."""
        _, found = self.matches(scope)
        scope.update(found)
        await self.handle(scope, receive, send)


def _refuse_address(scope: Scope) -> NoReturn:
    """Refuse what no operation is found for, counted all the same."""
    count_address(scope, DEFAULT)
    if (allowed := scope["taller.allowed"]) is None:
        raise NotFoundError
    raise MethodNotAllowedError(allowed)


def count_address(scope: Scope, policy: str) -> None:
    """Count a request for which nobody has to be identified. Raises `TooManyRequestsError`."""
    allowance: Allowance | None = scope.get(ALLOWANCE)
    if allowance is not None:
        allowance.take_for_address(policy)


def _segments(path: str) -> list[str]:
    segments = path[1:].split("/")
    if segments[-1] == "":
        segments.pop()
    return segments
