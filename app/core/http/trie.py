"""Routing by a trie of path segments, whose cost does not grow with the number of routes.

Each operation has a canonical address (`/api/v1/projects/`) and a bare one (`/projects/`), both with and without the
trailing slash. All four answer directly, without a redirect (docs/decisions/0005-one-route-four-addresses.md).
"""

from collections.abc import Iterable

from starlette.types import Scope

from app.core.errors import AppError, MethodNotAllowedError, NotFoundError
from app.core.guards import DEFAULT
from app.core.http.fast_path import Handler
from app.core.http.routing import API_PREFIX, ApiRoute, count_address
from app.core.request_state import state_of


class RouteTrieNode:
    """One path segment: its child nodes, and the operations whose path ends here, with the names of its parameters."""

    def __init__(self) -> None:
        self.children: dict[str, RouteTrieNode] = {}
        self.parameter: RouteTrieNode | None = None
        self.operations: dict[str, tuple[ApiRoute, tuple[str, ...]]] = {}


class TrieRouter:
    """All operations, found by path and method."""

    def __init__(self, routes: Iterable[ApiRoute]) -> None:
        self.routes = list(routes)
        self._root = RouteTrieNode()
        for route in self.routes:
            for path in {route.path, route.path.removeprefix(API_PREFIX)}:
                self._add(route, _segments(path))

    def _add(self, route: ApiRoute, segments: list[str]) -> None:
        node, names = self._root, []
        for segment in segments:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or RouteTrieNode()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, RouteTrieNode())
        for method in route.methods or ():
            node.operations[method] = (route, tuple(names))
            if method == "GET":
                node.operations.setdefault("HEAD", (route, tuple(names)))

    def find(self, path: str, method: str) -> tuple[ApiRoute, dict[str, str]]:
        """Return the operation of a path and method, and the values of its path parameters.

        Raises `NotFoundError`, or `MethodNotAllowedError` if the path exists with other methods only.
        """
        node, values = self._root, []
        for segment in _segments(path):
            child = node.children.get(segment)
            if child is None:
                values.append(segment)
                child = node.parameter
                if child is None:
                    raise NotFoundError
            node = child
        operation = node.operations.get(method)
        if operation is None:
            raise MethodNotAllowedError(node.operations) if node.operations else NotFoundError
        route, names = operation
        # There are as many of both; `strict` would double the time.
        return route, dict(zip(names, values))  # noqa: B905

    def handler(self, scope: Scope) -> Handler:
        """Return the handler of a request, and note its route. Raises the errors of `find`."""
        try:
            route, scope["path_params"] = self.find(scope["path"], scope["method"])
        except AppError:
            # Requests to unknown paths are counted as well.
            count_address(state_of(scope), DEFAULT)
            raise
        scope["route"] = route
        return route.respond


def _segments(path: str) -> list[str]:
    segments = path[1:].split("/")
    if segments[-1] == "":
        segments.pop()
    return segments
