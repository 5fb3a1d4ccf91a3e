"""The fast path: an operation runs from a dependency plan that is made when its route is created.

FastAPI solves dependencies again for each request: it walks their tree, opens exit stacks that stay empty here, and
prepares for streams, forms and telemetry. All of that is known when the route is created, so the plan is made once.
Every operation must be simple enough for such a plan. docs/decisions/0011-the-short-way.md has the measurements.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from operator import itemgetter
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from app.core.bounded import BoundedDict
from app.core.database.rows import Records, Row
from app.core.errors import MAX_REPORTED_ERRORS, FieldError, InvalidRequestError
from app.core.http.problems import field_errors
from app.core.json_body import read_json
from app.core.preconditions.responses import apply_preconditions, tag_of_bytes, tag_reader, tagged, unchanged
from app.core.request_state import state_of

Handler = Callable[[Request], Awaitable[Response]]
Reader = Callable[[Request, bytes], Any]
"""Reads and validates one input of a request. Raises `ValidationError`."""


_WHOLE_SECOND = re.compile(rb'(_at":"[-0-9T:]{19})Z"')
"""A member with a moment on a whole second. It cannot match inside a text, where quotation marks are escaped."""

MAX_ACCEPTED = 100
"""Query strings of each operation whose validated parameters are remembered, the last ones: about 2 KB each."""

Accepted = BoundedDict[bytes, Any]
"""What an operation remembers: its query strings in which nothing was refused, with what they were read as."""

MAX_ACCEPTED_BYTES = 300
"""Bytes of a query string that is remembered."""


class Answer(Response):
    """A response whose content is bytes. Starlette's constructor takes three times as long."""

    def __init__(self, content: bytes | None = None, status_code: int = 200, media_type: bytes | None = None) -> None:
        """Without content, it only holds what a handler sets."""
        self.status_code, self.body, self.background = status_code, content or b"", None
        self.raw_headers = []
        if content is not None and status_code not in _WITHOUT_LENGTH:
            self.raw_headers.append((b"content-length", b"%d" % len(content)))
        if media_type is not None:
            self.raw_headers.append((b"content-type", media_type))


class UnplannedRouteError(TypeError):
    """An operation uses features of FastAPI that the fast path does not support."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: dependencies must be coroutine functions without `yield`, the query parameters one pydantic "
            "model and the body another, and the response class FastAPI's default"
        )


_Step = tuple[Callable[..., Awaitable[Any]], Callable[[list[Any]], Sequence[Any]]]

_REQUEST, _RESPONSE = 0, 1
"""The numbers of these two among the values of a request."""


class _DependencyPlan:
    """The inputs of a request, and the calls that use them, each after the calls that it depends on.

    The values of a request are numbered: itself, the response that may be changed, its inputs, the calls' results.
    """

    def __init__(self, dependant: Dependant, accepted: Accepted) -> None:
        self._accepted = accepted
        self.inputs: list[tuple[tuple[str, ...], type[BaseModel] | None, Reader]] = []
        """Each input: the location for its errors (`path` and its name, `query`, `body`), its model, its reader."""

        self.reads_body = self.changes_response = False
        self._nodes: dict[int, tuple[Dependant, dict[str | None, int]]] = {}
        """What is called, and the numbers of its inputs, in the order of the calls."""

        # What is remembered of a query string belongs to one model.
        self.is_possible = self._add(dependant) and [place for place, *_ in self.inputs].count(("query",)) <= 1
        self.steps = [self._step(node, numbers) for node, numbers in self._nodes.values()]
        """What is called, and what returns its arguments from the values."""

    def _add(self, node: Dependant) -> bool:
        if id(node.call) in self._nodes:
            return True
        if not _is_ordinary(node) or not all(map(self._add, node.dependencies)):
            return False
        numbers: dict[str | None, int] = {}
        for field in node.path_params:
            numbers[field.name] = self._add_input(("path", field.alias), None, _path_reader(field))
        for field in node.query_params:
            numbers[field.name] = self._add_input(
                ("query",), _model(field), _query_reader(_model(field), self._accepted)
            )
        for field in node.body_params:
            numbers[field.name] = self._add_input(("body",), _model(field), _body_reader(_model(field)))
        self.reads_body |= bool(node.body_params)
        self.changes_response |= node.response_param_name is not None
        self._nodes[id(node.call)] = node, numbers
        return True

    def _add_input(self, place: tuple[str, ...], model: type[BaseModel] | None, reader: Reader) -> int:
        self.inputs.append((place, model, reader))
        return _RESPONSE + len(self.inputs)

    def _step(self, node: Dependant, numbers: dict[str | None, int]) -> _Step:
        numbers |= {node.request_param_name: _REQUEST, node.response_param_name: _RESPONSE}
        calls = list(self._nodes)
        for dependency in node.dependencies:
            numbers[dependency.name] = _RESPONSE + len(self.inputs) + 1 + calls.index(id(dependency.call))
        # To call an instance takes longer than to call its method.
        call: Any = node.call if inspect.isfunction(node.call) else getattr(node.call, "__call__")  # noqa: B004, B009 - mypy
        return call, _getter([numbers[name] for name in _parameters(node.call)])


def _getter(numbers: list[int]) -> Callable[[list[Any]], Sequence[Any]]:
    """Return what returns the values with these numbers."""
    if len(numbers) > 1:
        return itemgetter(*numbers)
    # Of one number, `itemgetter` would return the value itself; without any, it cannot be made.
    first = numbers[0] if numbers else 0
    return itemgetter(slice(first, first + len(numbers)))


def _parameters(call: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(call).parameters


def build_fast_path(route: APIRoute, accepted: Accepted, location: str | None = None) -> Handler:
    """Return a handler that runs a route's operation. Raises `UnplannedRouteError` if the fast path does not support
    it.

    `location`: the beginning of the `Location` header, before the id of the result.
    """
    plan = _DependencyPlan(route.dependant, accepted)
    if not plan.is_possible or not _answers_ordinarily(route) or (plan.reads_body and route._embed_body_fields):  # noqa: SLF001 - it has no public name
        raise UnplannedRouteError(route.name)
    answer = _answering(route, location)

    async def handler(request: Request) -> Response:
        body = state_of(request.scope).body if plan.reads_body else b""
        values: list[Any] = [request, Answer() if plan.changes_response else None]
        errors: list[FieldError] = []
        for place, model, read in plan.inputs:
            try:
                values.append(read(request, body))
            except ValidationError as error:
                errors += field_errors(error, model, *place)
        if errors:
            raise InvalidRequestError(errors=errors[:MAX_REPORTED_ERRORS])
        for call, arguments in plan.steps:
            values.append(await call(*arguments(values)))
        return answer(request, values[-1], values[_RESPONSE])

    return handler


def _answering(route: APIRoute, location: str | None) -> Callable[[Request, Any, Response | None], Response]:
    """Return what makes the response from the handler's result, and from the headers and status that it set."""
    field, status_code = route.response_field, route.status_code or 200
    media_type = None if field is None else _JSON
    tag = tag_reader(route)
    # Called directly: FastAPI's and pydantic's wrappers pass on a dozen options, which takes a microsecond.
    adapter = None if field is None else field._type_adapter  # noqa: SLF001 - it has no public name
    rows_json = _rows_json(None if field is None else field.field_info.annotation)

    def answer(request: Request, result: Any, response: Response | None) -> Response:
        if isinstance(result, Response):
            return result
        # Compared before anything is written, which a 304 does without.
        current = None if tag is None else tag(result)
        if current is not None and (response_304 := unchanged(request, current)) is not None:
            return tagged(response_304, current)
        content = b""
        address = b"" if location is None else f"{location}{result['id']}".encode()
        if adapter is not None and not (content := rows_json(result)):
            try:
                result = adapter.validator.validate_python(result, from_attributes=True)
            except ValidationError as error:
                raise ResponseValidationError(errors=error.errors(), body=result) from error
            content = with_fractions(adapter.serializer.to_json(result, by_alias=True))
        made = Answer(content, status_code, media_type)
        if response is not None:
            if response.status_code != _UNSET_STATUS:
                made.status_code = response.status_code
            made.raw_headers += response.raw_headers
        if location is not None:
            made.raw_headers.append((b"location", address))
        if current is not None:
            return tagged(made, current)
        return made if tag is None else apply_preconditions(request, made, tag_of_bytes(content))

    return answer


def with_fractions(content: bytes) -> bytes:
    """Return the JSON with six fractional digits in each moment (RFC 3339); pydantic omits those of a whole second."""
    return _WHOLE_SECOND.sub(rb'\1.000000Z"', content)


def _rows_json(model: Any) -> Callable[[Any], bytes]:
    """Return what writes a row of a model, or a page of such rows; nothing of what has to be validated first."""
    fields = getattr(model, "model_fields", {})
    (item,) = get_args(fields["items"].annotation) if "items" in fields else (None,)

    def write(result: Any) -> bytes:
        if isinstance(result, Row):
            return result.to_json().encode() if result.model is model else b""
        items = result.get("items") if item is not None and isinstance(result, dict) else None
        if not isinstance(items, Records):
            return b""
        if items.model is not item:
            result["items"] = list(items)
            return b""
        # The items are the first member of a page.
        rest = to_json({name: value for name, value in result.items() if value is not items})
        return b'{"items":%b,%b' % (items.to_json().encode(), rest[1:])

    return write


def _answers_ordinarily(route: APIRoute) -> bool:
    return (
        (isinstance(route.response_class, DefaultPlaceholder) or route.response_field is None)
        and not route.is_json_stream
        and not route.is_sse_stream
    )


_JSON = b"application/json"
_WITHOUT_LENGTH = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_UNSET_STATUS = 200
"""The status of a new `Response`, which means that the handler has set none."""


def _is_ordinary(node: Dependant) -> bool:
    call = node.call
    # For an instance, `__call__` of its class is what runs.
    is_coroutine = any(inspect.iscoroutinefunction(kind) for kind in (call, type(call).__call__))
    return (
        is_coroutine
        and not inspect.isasyncgenfunction(call)
        and node.concurrency is None
        and not (node.header_params or node.cookie_params)
        and node.http_connection_param_name is None
        and node.background_tasks_param_name is None
        and node.security_scopes_param_name is None
        and all(_is_model(field.field_info.annotation) for field in (*node.query_params, *node.body_params))
        # Arguments are passed by their places.
        and all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in _parameters(call).values())
    )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _model(field: Any) -> type[BaseModel]:
    model: type[BaseModel] = field.field_info.annotation
    return model


def _path_reader(field: Any) -> Reader:
    alias, validator = field.alias, field._type_adapter.validator  # noqa: SLF001 - it has no public name

    def read(request: Request, _body: bytes) -> Any:
        return validator.validate_python(request.scope["path_params"][alias])

    return read


def _query_reader(model: type[BaseModel], accepted: Accepted) -> Reader:
    repeatable = [field.alias or name for name, field in model.model_fields.items() if is_collection(field)]
    # Nothing may change what is remembered.
    longest = MAX_ACCEPTED_BYTES if model.model_config.get("frozen") else -1

    # Unknown and repeated parameters have been refused before (`app.core.http.routing`).
    def read(request: Request, _body: bytes) -> Any:
        text: bytes = request.scope["query_string"]
        params = accepted.get(text)
        if params is None:
            values: dict[str, Any] = dict(request.query_params)
            for name in repeatable:
                if name in values:
                    values[name] = request.query_params.getlist(name)
            params = model.model_validate(values)
            if len(text) <= longest:
                accepted.put(text, params)
        return params

    return read


def is_collection(field: FieldInfo) -> bool:
    """Return whether a parameter may be repeated."""
    return get_origin(field.annotation) in {list, set, tuple}


def _body_reader(model: type[BaseModel]) -> Reader:
    # `model_validate` passes on seven options that nobody sets.
    validate = model.__pydantic_validator__.validate_python

    def read(_request: Request, body: bytes) -> Any:
        # For an empty body, "must be a JSON object" is a clearer error than one of the JSON parser.
        return validate(read_json(body) if body else None)

    return read
