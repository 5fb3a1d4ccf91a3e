"""Routes, with the checks that run before every handler, and the router of a feature."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Literal, TypedDict, TypeVar
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from typing_extensions import Unpack

from app.core.bounded import BoundedDict
from app.core.concurrency import CallerShares
from app.core.config import Settings
from app.core.errors import (
    MAX_NAME,
    MAX_REPORTED_ERRORS,
    AppError,
    BodyTooLargeError,
    FieldError,
    InvalidJsonError,
    InvalidRequestError,
    UnsupportedMediaTypeError,
)
from app.core.guards import Guard, guards_of
from app.core.http import positions
from app.core.http.fast_path import MAX_ACCEPTED, Accepted, Handler, build_fast_path, is_collection
from app.core.idempotency import keys as idempotency
from app.core.idempotency.creation import Creation
from app.core.listing.pagination import PAGE_ERRORS, PageParams
from app.core.preconditions.responses import REVALIDATED
from app.core.request_state import RequestState, state_of
from app.core.services import services_of
from app.core.suggestions import unknown

H = TypeVar("H", bound=Callable[..., Any])

API_PREFIX = "/api/v1"

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"

MAX_QUERY_BYTES = 16_384
"""Bytes of a query string: enough for each parameter at its longest."""

MAX_PARAMETERS = 200
"""Parameters of one request, repeated ones counted each time."""


_MALFORMED = (InvalidRequestError, InvalidJsonError, UnsupportedMediaTypeError, BodyTooLargeError)
"""The errors of malformed requests. Only callers whom the guards authorise get them."""


BodyLimit = Literal["max_body_bytes", "max_batch_body_bytes", "max_auth_body_bytes"]


class ApiRoute(APIRoute):
    """A route that refuses unknown parameters and media types, after its guards have authorised the caller."""

    accepts: tuple[str, ...]
    """The media types of the body; empty if no body is read."""

    respond: Handler
    """Returns the response to a request, or raises an error."""

    allows_replay: ClassVar[bool] = True
    """Whether its responses may be stored."""

    body_limit: BodyLimit = "max_body_bytes"
    """The setting that bounds its body."""

    accepts_idempotency_key: bool
    """Whether a request may have an idempotency key."""

    errors: tuple[type[AppError], ...]
    """The errors of its requests, without those that every operation has (500, 503)."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        errors: Sequence[type[AppError]] = (),
        body_limit: BodyLimit | None = None,
        takes_turns: bool = False,
        location: str | None = None,
        **options: Any,
    ) -> None:
        """`errors`: those that the handler raises; the route adds those of its guards and of its checks. `takes_turns`:
        whether requests of one person take turns as searches do, because their cost depends on the number of tasks.
        """
        self.body_limit = body_limit or self.body_limit
        if options.get("status_code") == HTTPStatus.NO_CONTENT:
            # Without it, the empty response would have a JSON media type.
            options["response_class"] = Response
        super().__init__(path, endpoint, **options)
        methods, guards = self.methods or set(), guards_of(self)
        self.accepts = tuple((self.openapi_extra or {}).get("requestBody", {}).get("content", ()))
        if self.body_field is not None and not self.accepts:
            self.accepts = (JSON, MERGE_PATCH) if "PATCH" in methods else (JSON,)
        # The other methods are idempotent and need no key.
        is_repeated = bool({"POST", "PATCH"} & methods)
        # Responses are stored for authenticated callers only.
        self.accepts_idempotency_key = is_repeated and self.allows_replay and any(guard.security for guard in guards)
        body_errors = (InvalidJsonError, BodyTooLargeError, UnsupportedMediaTypeError) if self.accepts else ()
        guard_errors = (error for guard in guards for error in guard.errors)
        key_errors = idempotency.ERRORS if self.accepts_idempotency_key else ()
        is_list = any(issubclass(model, PageParams) for model in _query_models(self.dependant))
        page_errors = PAGE_ERRORS if is_list else ()
        self.errors = (InvalidRequestError, *page_errors, *body_errors, *guard_errors, *key_errors, *errors)
        beginning = None if location is None else f"{API_PREFIX}{location}/"
        accepted: Accepted = BoundedDict(MAX_ACCEPTED)
        handle = build_fast_path(self, accepted, beginning)
        if self.accepts_idempotency_key:
            creation = None if beginning is None else _creation(self, beginning)
            handle = idempotency.idempotent(handle, self.name, guards, creation)
        elif is_repeated:
            handle = idempotency.without_keys(handle)
        if takes_turns:
            handle = _in_turn(handle)
        self.respond = self._behind_checks(handle, guards, accepted)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler for FastAPI's router. `TrieRouter` calls `respond`, which `__init__` sets later."""

        async def handler(request: Request) -> Response:
            return await self.respond(request)

        return handler

    def _behind_checks(self, handle: Handler, guards: list[Guard], accepted: Accepted) -> Handler:
        """Return a handler that runs the checks of every operation before the operation's own handler."""
        accepts = frozenset(self.accepts)
        models = list(_query_models(self.dependant))
        repeatable = {
            field.alias or name: is_collection(field) for model in models for name, field in model.model_fields.items()
        }
        body_limit = self.body_limit
        only_reads = self.methods == {"GET"}
        rate_policy = next((guard.rate_policy for guard in guards if guard.rate_policy is not None), None)

        async def handler(request: Request) -> Response:
            state = state_of(request.scope)
            if rate_policy is not None:
                count_address(state, rate_policy)
            # The caller is authenticated before the body is read and anything else in the request is checked.
            caller = None
            for guard in guards:
                caller = await guard.authenticate(request) or caller
            try:
                _refuse_unknown_parameters(request, repeatable, models, accepted)
                if accepts:
                    _refuse_other_media_types(request, accepts)
                    state.body = await _body(request, getattr(services_of(request)[Settings], body_limit))
                if caller is None:
                    response: Response = await handle(request)
                else:
                    share = state.share = services_of(request)[CallerShares].of(caller.user_id)
                    if not share.enter_now():
                        await share.enter()
                    try:
                        if state.position is None:
                            response = await handle(request)
                        else:
                            response = await positions.respond(request, state, handle, only_reads=only_reads)
                    finally:
                        share.leave()
            except _MALFORMED:
                for guard in guards:
                    await guard.authorize(request)
                raise
            return response

        return handler


class SecretRoute(ApiRoute):
    """A route whose responses may hold secrets and are never stored; its request bodies are small."""

    allows_replay = False
    body_limit = "max_auth_body_bytes"


def count_address(state: RequestState, policy: str) -> None:
    """Count a request against its network address. Raises `TooManyRequestsError`."""
    if state.quota is not None:
        state.quota.consume_for_address(policy)


def _creation(route: ApiRoute, location: str) -> Creation:
    assert route.response_field is not None, "what has a location is returned"
    model: Any = route.response_field.field_info.annotation
    headers: dict[str, tuple[str, str | None]] = {"content-type": (JSON, None), "location": (location, "id")}
    if "etag" in model.model_fields:
        headers |= {"etag": ("", "etag"), "cache-control": (REVALIDATED.decode(), None)}
    return Creation(model, route.status_code or HTTPStatus.OK, headers)


def _in_turn(handle: Handler) -> Handler:
    async def handle_in_turn(request: Request) -> Response:
        share = state_of(request.scope).share
        assert share is not None, "the caller is known"
        return await share.searches.run(partial(handle, request))

    return handle_in_turn


def _query_models(dependant: Dependant) -> Iterator[type[BaseModel]]:
    """Yield the models of an operation's query parameters. `build_fast_path` supports no other parameters."""
    for parameter in dependant.query_params:
        model: Any = parameter.field_info.annotation
        yield model
    for dependency in dependant.dependencies:
        yield from _query_models(dependency)


def _refuse_unknown_parameters(
    request: Request, repeatable: dict[str, bool], models: Sequence[type[BaseModel]], accepted: Accepted
) -> None:
    query: bytes = request.scope["query_string"]
    if not query or query in accepted:
        return
    if len(query) > MAX_QUERY_BYTES:
        raise InvalidRequestError(f"The query string exceeds the limit of {MAX_QUERY_BYTES} bytes.")
    if query.count(b"&") >= MAX_PARAMETERS:
        raise InvalidRequestError(f"The query string exceeds the limit of {MAX_PARAMETERS} parameters.")
    pairs = request.query_params.multi_items()
    if not _is_utf8(query):
        # Starlette reads what is not UTF-8 as this character, and the client would not learn that it was misread.
        parameter = next((name[:MAX_NAME] for name, value in pairs if "\ufffd" in name + value), "")
        raise InvalidRequestError.at("must be percent-encoded UTF-8", "encoding", parameter=parameter)
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, _ in pairs:
        if name not in repeatable:
            shown = name[:MAX_NAME]
            errors.append(
                FieldError(parameter=shown, detail=unknown("a parameter here", shown, models), code="unknown")
            )
        elif name in seen and not repeatable[name]:
            errors.append(FieldError(parameter=name, detail="is given more than once", code="repeated"))
        if len(errors) == MAX_REPORTED_ERRORS:
            break
        seen.add(name)
    if errors:
        raise InvalidRequestError(errors=errors)


def _is_utf8(query: bytes) -> bool:
    if b"%" in query:
        try:
            unquote_to_bytes(query).decode()
        except UnicodeDecodeError:
            return False
    return True


def _refuse_other_media_types(request: Request, accepts: frozenset[str]) -> None:
    content_type = None
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise UnsupportedMediaTypeError(
                "Send the body without `Content-Encoding`.", headers={"Accept-Encoding": "identity"}
            )
        if name == b"content-type" and content_type is None:
            content_type = value
    if content_type is None:
        # Neither a body nor a type: validation reports the missing body, which is the clearer error.
        if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
            return
    elif content_type.partition(b";")[0].strip().lower().decode("latin-1") in accepts:
        return
    raise UnsupportedMediaTypeError(f"Send the body as {' or '.join(sorted(accepts))}.")


async def _body(request: Request, limit: int) -> bytes:
    """Return the body. Raises `BodyTooLargeError` as soon as the declared or received bytes exceed the limit."""
    size = state_of(request.scope).declared_length or 0
    chunks: list[bytes] = []
    while size <= limit:
        message = await request.receive()
        if message["type"] != "http.request":
            # The client has disconnected: nobody reads the response, and it must not be logged as a failure of ours.
            raise InvalidJsonError("The body ended before it was complete.")
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        size = max(size, sum(map(len, chunks)))
    raise BodyTooLargeError(f"The body exceeds the limit of {limit} bytes.")


class RouteOptions(TypedDict, total=False):
    """The options of a handler's decorator: those of FastAPI's that are used here, and `errors`."""

    summary: str
    status_code: int
    response_model: Any
    responses: dict[int | str, dict[str, Any]]
    errors: Sequence[type[AppError]]
    """The errors that the handler raises."""

    body_limit: BodyLimit
    """The setting that bounds the body; for most operations that of their router's routes."""

    takes_turns: bool
    """Whether its cost depends on the number of tasks, so that requests of one person take turns as searches do."""

    location: str
    """The path of the collection of what the handler creates and returns: `Location` is its address there, by `id`."""

    dependencies: Sequence[Any]
    openapi_extra: dict[str, Any]
    include_in_schema: bool
    operation_id: str


@dataclass(eq=False, kw_only=True)
class FeatureRouter:
    """The operations of a feature, under the API's prefix. `app.features` lists all of these routers."""

    tag: str
    prefix: str = ""
    dependencies: Sequence[Any] = ()
    route_class: type[ApiRoute] = ApiRoute
    api_prefix: str = API_PREFIX
    routes: list[ApiRoute] = field(default_factory=list, init=False)

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for GET requests, and for HEAD without the body."""
        return self._route("GET", path, options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for POST requests."""
        return self._route("POST", path, options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for PUT requests."""
        return self._route("PUT", path, options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for PATCH requests."""
        return self._route("PATCH", path, options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for DELETE requests."""
        return self._route("DELETE", path, options)

    def _route(self, method: str, path: str, options: RouteOptions) -> Callable[[H], H]:
        def decorate(handler: H) -> H:
            own: dict[str, Any] = {**options}
            own["dependencies"] = [*self.dependencies, *options.get("dependencies", ())]
            own["generate_unique_id_function"] = lambda route: route.name
            address = self.api_prefix + self.prefix + path
            self.routes.append(self.route_class(address, handler, methods=[method], tags=[self.tag], **own))
            return handler

        return decorate
