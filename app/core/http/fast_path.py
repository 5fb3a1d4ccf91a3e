"""The fast path: an operation runs from a dependency plan that is made when its route is created.

FastAPI solves dependencies again for each request: it walks their tree, opens exit stacks that stay empty here, and
prepares for streams, forms and telemetry. All of that is known when the route is created, so the plan is made once.
Every operation must be simple enough for such a plan. docs/decisions/0011-the-short-way.md has the measurements.
"""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from app.core.bounded import BoundedDict
from app.core.database.rows import Records, Row
from app.core.errors import MAX_REPORTED_ERRORS, FieldError, InvalidRequestError
from app.core.http.problems import field_errors
from app.core.http.timestamps import with_fractions
from app.core.json_body import read_json
from app.core.preconditions.responses import apply_preconditions, etag_factory, own_tag, tagged, unchanged
from app.core.request_state import state_of

Handler = Callable[[Request], Awaitable[Response]]
Reader = Callable[[Request, bytes], Any]
"""Reads and validates one input of a request. Raises `ValidationError`."""


MAX_ACCEPTED = 100
"""Query strings of each operation whose validated parameters are remembered, the last ones: about 2 KB each."""

MAX_ACCEPTED_BYTES = 300
"""Bytes of a query string that is remembered."""


class UnplannedRouteError(TypeError):
    """An operation uses features of FastAPI that the fast path does not support."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: dependencies must be coroutine functions without `yield`, the query parameters one pydantic "
            "model and the body another, and the response class FastAPI's default"
        )


class _DependencyCall:
    """One call of a dependency or of the handler, with the sources of its arguments by name."""

    def __init__(self, dependant: Dependant) -> None:
        self.call: Any = dependant.call
        self.request = dependant.request_param_name
        self.response = dependant.response_param_name
        self.results: list[tuple[str, int]] = []
        """Arguments that are results of earlier calls, with the call's number."""

        self.inputs: list[tuple[str, int]] = []
        """Arguments that are inputs of the request, with the input's number."""


class _DependencyPlan:
    """The inputs of a request, and the calls that use them, each after the calls that it depends on."""

    def __init__(self, dependant: Dependant) -> None:
        self.steps: list[_DependencyCall] = []
        self.inputs: list[tuple[tuple[str, ...], type[BaseModel] | None, Reader]] = []
        """Each input: the location for its errors (`path` and its name, `query` or `body`), its model and its
        reader."""

        self.reads_body = False
        self._known: dict[int, int] = {}
        self.is_possible = self._add(dependant) is not None

    def _add(self, node: Dependant) -> int | None:
        if id(node.call) in self._known:
            return self._known[id(node.call)]
        if not _is_ordinary(node):
            return None
        step = _DependencyCall(node)
        for dependency in node.dependencies:
            number = self._add(dependency)
            if number is None:
                return None
            if dependency.name is not None:
                step.results.append((dependency.name, number))
        for field in node.path_params:
            self._add_input(step, field.name, ("path", field.alias), None, _path_reader(field))
        for field in node.query_params:
            self._add_input(step, field.name, ("query",), _model(field), _query_reader(_model(field)))
        for field in node.body_params:
            self._add_input(step, field.name, ("body",), _model(field), _body_reader(_model(field)))
        self.reads_body = self.reads_body or bool(node.body_params)
        self.steps.append(step)
        self._known[id(node.call)] = len(self.steps) - 1
        return len(self.steps) - 1

    def _add_input(
        self, step: _DependencyCall, name: str, place: tuple[str, ...], model: type[BaseModel] | None, reader: Reader
    ) -> None:
        step.inputs.append((name, len(self.inputs)))
        self.inputs.append((place, model, reader))


def build_fast_path(route: APIRoute, location: str | None = None) -> Handler:
    """Return a handler that runs a route's operation. Raises `UnplannedRouteError` if the fast path does not support
    it.

    `location`: the beginning of the `Location` header, before the id of the result.
    """
    plan = _DependencyPlan(route.dependant)
    if not plan.is_possible or not _answers_ordinarily(route) or (plan.reads_body and route._embed_body_fields):  # noqa: SLF001 - it has no public name
        raise UnplannedRouteError(route.name)
    answer = _answering(route, location)

    async def handler(request: Request) -> Response:
        body = state_of(request.scope).body if plan.reads_body else b""
        inputs: list[Any] = []
        errors: list[FieldError] = []
        for place, model, read in plan.inputs:
            try:
                inputs.append(read(request, body))
            except ValidationError as error:
                errors += field_errors(error, model, *place)
        if errors:
            raise InvalidRequestError(errors=errors[:MAX_REPORTED_ERRORS])
        results: list[Any] = []
        response: Response | None = None
        for step in plan.steps:
            arguments = {name: inputs[number] for name, number in step.inputs}
            for name, number in step.results:
                arguments[name] = results[number]
            if step.request is not None:
                arguments[step.request] = request
            if step.response is not None:
                response = response or Response()
                arguments[step.response] = response
            results.append(await step.call(**arguments))
        return answer(request, results[-1], response)

    return handler


def _answering(route: APIRoute, location: str | None) -> Callable[[Request, Any, Response | None], Response]:
    """Return a function that makes the response from the handler's result, and from the headers and status that
    it set.
    """
    field, status_code = route.response_field, route.status_code or 200
    media_type = None if field is None else "application/json"
    tag = etag_factory(route)
    # Called directly: FastAPI's and pydantic's wrappers pass on a dozen options, which takes a microsecond.
    adapter = None if field is None else field._type_adapter  # noqa: SLF001 - it has no public name
    rows_json = _rows_json(None if field is None else field.field_info.annotation)

    def answer(request: Request, result: Any, response: Response | None) -> Response:
        if isinstance(result, Response):
            return result if tag is None else apply_preconditions(request, result, tag(None, bytes(result.body)))
        # Compared before anything is written, which a 304 does without.
        current = own_tag(result, b"") if tag is own_tag else None
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
        made = Response(content, status_code, media_type=media_type)
        if response is not None:
            if response.status_code != _UNSET_STATUS:
                made.status_code = response.status_code
            made.raw_headers += [header for header in response.raw_headers if header[0] != _LENGTH]
        if location is not None:
            made.raw_headers.append((b"location", address))
        if current is not None:
            return tagged(made, current)
        return made if tag is None else apply_preconditions(request, made, tag(result, content))

    return answer


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
        rest = _encode({name: value for name, value in result.items() if value is not items})
        return f'{{"items":{items.to_json()},{rest[1:]}'.encode()

    return write


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _answers_ordinarily(route: APIRoute) -> bool:
    return (
        (isinstance(route.response_class, DefaultPlaceholder) or route.response_field is None)
        and not route.is_json_stream
        and not route.is_sse_stream
    )


_LENGTH = b"content-length"
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


def _query_reader(model: type[BaseModel]) -> Reader:
    repeatable = [field.alias or name for name, field in model.model_fields.items() if is_collection(field)]

    # Query strings that were accepted, with what they were read as.
    accepted: BoundedDict[bytes, Any] = BoundedDict(MAX_ACCEPTED if model.model_config.get("frozen") else 0)

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
            if len(text) <= MAX_ACCEPTED_BYTES:
                accepted.put(text, params)
        return params

    return read


def is_collection(field: FieldInfo) -> bool:
    """Return whether a parameter may be repeated."""
    return get_origin(field.annotation) in {list, set, tuple}


def _body_reader(model: type[BaseModel]) -> Reader:
    def read(_request: Request, body: bytes) -> Any:
        # For an empty body, "must be a JSON object" is a clearer error than one of the JSON parser.
        return model.model_validate(read_json(body) if body else None)

    return read
