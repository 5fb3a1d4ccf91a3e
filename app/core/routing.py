"""How an address finds its handler, and what every operation refuses before its handler runs.

Routes are found by their path segments, at a cost that does not grow with their number. Each operation answers at its
canonical address (`/api/v1/projects/`), at the bare one (`/projects/`), and with or without the trailing slash:
directly, never by a redirect (docs/decisions/0005-one-route-four-addresses.md).
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Literal, NoReturn

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.core import idempotency
from app.core.concurrency import CallerShares
from app.core.errors import (
    MAX_REPORTED_ERRORS,
    AppError,
    BodyTooLargeError,
    FieldError,
    InvalidJsonError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    UnsupportedMediaTypeError,
)
from app.core.guards import Guard, guards_of
from app.core.handlers import answer_to
from app.core.json_body import BODY
from app.core.lean import Handler, is_collection, short_way
from app.core.openapi import merged, problems
from app.core.ratelimit import ALLOWANCE, DEFAULT, Allowance

API_PREFIX = "/api/v1"

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"

MAX_QUERY_BYTES = 16_384
"""Bytes of a query string: enough for each parameter at its longest."""

MAX_PARAMETERS = 200
"""Parameters of one request, repeated ones counted each time."""

MAX_NAME_SHOWN = 100
"""Characters of an unknown parameter's name that an answer repeats."""


_MALFORMED = (InvalidRequestError, InvalidJsonError, UnsupportedMediaTypeError, BodyTooLargeError)
"""What is wrong with a request by itself. Only those whom its guards admit are told."""


class Operation(APIRoute):
    """A route that refuses unknown parameters and unread media types, and asks its guards before it says so."""

    accepts: tuple[str, ...]
    """The media types of the body; empty where no body is read."""

    answer: Callable[[Request], Awaitable[Response]]
    """Makes the response to a request, or raises its refusal."""

    keeps_answers: ClassVar[bool] = True
    """Whether its answers may be kept at rest."""

    body_limit: ClassVar[Literal["max_body_bytes", "max_auth_body_bytes"]] = "max_body_bytes"
    """The setting that bounds its body."""

    takes_key: bool
    """Whether a request may have an idempotency key."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        extra = dict(options.pop("openapi_extra", None) or {})
        self.accepts = tuple(extra.get("requestBody", {}).get("content", ()))
        if options.get("status_code") == HTTPStatus.NO_CONTENT:
            # Without it, the empty answer would claim to be JSON.
            options["response_class"] = Response
        super().__init__(path, endpoint, openapi_extra=extra or None, **options)
        body_errors = (InvalidJsonError, BodyTooLargeError, UnsupportedMediaTypeError) if self.accepts else ()
        guard_errors = (error for guard in guards_of(self) for error in guard.errors)
        key_errors = idempotency.ERRORS if self.takes_key else ()
        self.responses = merged(problems(InvalidRequestError, *body_errors, *guard_errors, *key_errors), self.responses)
        if self.takes_key:
            self.openapi_extra = {**extra, "parameters": [*extra.get("parameters", ()), idempotency.PARAMETER]}

    def get_route_handler(self) -> Callable[[Any], Any]:
        """Return what runs the operation, behind the checks that hold for every operation."""
        if self.body_field is not None and not self.accepts:
            self.accepts = (JSON, MERGE_PATCH) if "PATCH" in (self.methods or ()) else (JSON,)
        guards = guards_of(self)
        handle = self._with_keys(short_way(self), guards)
        accepts = frozenset(self.accepts)
        repeatable = dict(_query_parameters(self.dependant))
        body_limit = self.body_limit
        limited_by = next((guard.limited_by for guard in guards if guard.limited_by is not None), None)

        async def handler(request: Request) -> Response:
            if limited_by is not None:
                _count_address(request.scope, limited_by)
            # Before a byte of the body is read, and before anything in the request is looked at.
            caller = None
            for guard in guards:
                caller = await guard.identify(request) or caller
            try:
                if request.scope["query_string"]:
                    _refuse_unknown_parameters(request, repeatable)
                if accepts:
                    _refuse_other_media_types(request, accepts)
                    request.scope[BODY] = await _body(request, getattr(request.app.state.settings, body_limit))
                if caller is None:
                    response: Response = await handle(request)
                else:
                    shares: CallerShares = request.app.state.shares
                    async with shares.of(caller.user_id):
                        response = await handle(request)
            except _MALFORMED:
                for guard in guards:
                    await guard.admit(request)
                raise
            return response

        self.answer = handler
        return handler

    def _with_keys(self, handle: Handler, guards: list[Guard]) -> Handler:
        """Return a handler that takes idempotency keys, or refuses them."""
        self.takes_key = False
        if not {"POST", "PATCH"} & (self.methods or set()):
            # The other methods are safe to repeat as they are; there the header says nothing new.
            return handle
        # Kept for callers who are known, in the one transaction that does the work.
        self.takes_key = self.keeps_answers and any(guard.security for guard in guards)
        return idempotency.once(handle, self.name, guards) if self.takes_key else idempotency.without_keys(handle)


class ConfidentialOperation(Operation):
    """An operation that may answer with a secret, which must be nowhere but in that answer; its body is small."""

    keeps_answers = False
    body_limit = "max_auth_body_bytes"


def _query_parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The query parameters of an operation by name, and whether each may be repeated."""
    # Each is a model: `short_way` takes nothing else.
    for parameter in dependant.query_params:
        model: Any = parameter.field_info.annotation
        for name, field in model.model_fields.items():
            yield field.alias or name, is_collection(field)
    for dependency in dependant.dependencies:
        yield from _query_parameters(dependency)


def _refuse_unknown_parameters(request: Request, repeatable: dict[str, bool]) -> None:
    query: bytes = request.scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise InvalidRequestError(f"The query string may have at most {MAX_QUERY_BYTES} bytes.")
    if query.count(b"&") >= MAX_PARAMETERS:
        raise InvalidRequestError(f"A request may have at most {MAX_PARAMETERS} parameters.")
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in repeatable:
            known = ", ".join(sorted(repeatable)) or "none"
            errors.append(
                FieldError(
                    parameter=name[:MAX_NAME_SHOWN], detail=f"unknown parameter (known: {known})", code="unknown"
                )
            )
        elif name in seen and not repeatable[name]:
            errors.append(FieldError(parameter=name, detail="is given more than once", code="repeated"))
        if len(errors) == MAX_REPORTED_ERRORS:
            break
        seen.add(name)
    if errors:
        raise InvalidRequestError(errors=errors)


def _refuse_other_media_types(request: Request, accepts: frozenset[str]) -> None:
    content_type = None
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise UnsupportedMediaTypeError(
                "Send the body without a Content-Encoding.", headers={"Accept-Encoding": "identity"}
            )
        if name == b"content-type" and content_type is None:
            content_type = value
    if content_type is None:
        # No body and no type: the missing body is the clearer complaint.
        if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
            return
    elif content_type.partition(b";")[0].strip().lower().decode("latin-1") in accepts:
        return
    raise UnsupportedMediaTypeError(f"Send the body as {' or '.join(sorted(accepts))}.")


async def _body(request: Request, limit: int) -> bytes:
    """Return the body. Raises `BodyTooLargeError` as soon as it is known to be larger than the limit."""
    size: int = request.scope["taller.declared_length"] or 0
    chunks: list[bytes] = []
    while size <= limit:
        message = await request.receive()
        if message["type"] != "http.request":
            # Nobody reads the answer, and it is no mistake of the service.
            raise InvalidJsonError("The body ended early.")
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        size = max(size, sum(map(len, chunks)))
    raise BodyTooLargeError(f"The body may have at most {limit} bytes.")


class FeatureRouter(APIRouter):
    """The router of a feature, under the API's prefix. `app.features` lists them; nothing else mounts them."""

    def __init__(
        self,
        *,
        prefix: str = "",
        tag: str,
        dependencies: Sequence[Any] = (),
        route_class: type[Operation] = Operation,
    ) -> None:
        super().__init__(
            prefix=API_PREFIX + prefix,
            tags=[tag],
            dependencies=dependencies,
            route_class=route_class,
            generate_unique_id_function=lambda route: route.name,
        )


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
    _count_address(scope, DEFAULT)
    if (allowed := scope["taller.allowed"]) is None:
        raise NotFoundError
    raise MethodNotAllowedError(allowed)


def _count_address(scope: Scope, policy: str) -> None:
    """Count a request for which nobody has to be identified. Raises `TooManyRequestsError`."""
    allowance: Allowance | None = scope.get(ALLOWANCE)
    if allowance is not None:
        allowance.take_for_address(policy)


def _segments(path: str) -> list[str]:
    segments = path[1:].split("/")
    if segments[-1] == "":
        segments.pop()
    return segments
