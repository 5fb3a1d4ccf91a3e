"""The conversion of exceptions to problem responses (RFC 9457)."""

import json
import logging
import re
from contextlib import suppress

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json
from starlette.types import Scope

from app.core.errors import (
    MAX_NAME,
    MAX_REPORTED_ERRORS,
    PROBLEM_MEDIA_TYPE,
    AppError,
    FieldError,
    Problem,
    json_pointer,
    problem_document,
)
from app.core.request_state import state_of
from app.core.suggestions import models_at, unknown
from app.core.text import UNPAIRED

logger = logging.getLogger(__name__)

_SUBJECT = re.compile(r"^\w+ should ")

_JSON_TYPES = {
    "bool": "true or false",
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "list": "a list",
    "dict": "a JSON object",
    "model": "a JSON object",
    "uuid": "a UUID",
}
"""What a member must be, by the first word of the codes in which pydantic says so in words of Python."""

_OF_TYPE = re.compile(rf"({'|'.join(_JSON_TYPES)})(_attributes)?_(type|parsing)")

_BODY_SHAPED = {"model_type", "model_attributes_type", "dict_type", "missing"}


def problem_of(error: AppError, scope: Scope) -> Problem:
    """Return the problem document of an error that a request raised."""
    state = state_of(scope)
    return problem_document(
        type(error),
        error.detail,
        error.errors,
        instance=scope["path"],
        request_id=state.request_id,
        prefix=state.prefix,
    )


def problem_response(error: AppError, scope: Scope) -> Response:
    """Return the problem response of an error."""
    content = problem_json(problem_of(error, scope))
    return Response(content, status_code=error.status, media_type=PROBLEM_MEDIA_TYPE, headers=error.headers)


def problem_json(problem: Problem) -> bytes:
    """Return JSON with ASCII escapes, because names of unknown members may hold characters that UTF-8 cannot."""
    with suppress(PydanticSerializationError):
        # It takes a quarter of the time that `json` takes, and escapes no more than it must.
        content = to_json(problem)
        if content.isascii() and b"\x7f" not in content:
            return content
    return json.dumps(problem, separators=(",", ":")).encode()


def answer_to(request: Request, refusal: AppError) -> Response:
    """Return the response to a request that raised an error."""
    state = state_of(request.scope)
    state.code = refusal.code
    # Details of errors may name members as the client named them; their codes are ours.
    state.reason = ", ".join(sorted({each["code"] for each in refusal.errors})) or refusal.detail
    if refusal.status >= 500 and (cause := refusal.__cause__) is not None:
        # One line without a traceback, because in an outage every request logs it.
        logger.warning("%s: %s: %s", refusal.code, type(cause).__name__, str(cause).partition("\n")[0])
    return problem_response(refusal, request.scope)


def _continuing_the_name(message: str) -> str:
    """Return pydantic's message in the form of ours: "String should have …" becomes "must have …"."""
    return (
        "is required"
        if message == "Field required"
        else _SUBJECT.sub("must ", message).replace(" after validation", "").replace(" be True", " be true")
    )


def field_error(item: ErrorDetails, model: type[BaseModel] | None, place: tuple[str, ...]) -> FieldError:
    """Return one of pydantic's errors in the form of our API, without the submitted value."""
    location, path = place[0], [*place[1:], *item["loc"]]
    # A tuple is a list to clients.
    code = str(item["type"]).replace("tuple_", "list_")
    # pydantic's messages for these speak of Python, and the one for a UUID repeats characters of the submitted value.
    of_type = _OF_TYPE.fullmatch(code)
    if of_type:
        detail = f"must be {_JSON_TYPES[of_type[1]]}"
    elif code == "string_unicode":
        detail = UNPAIRED
    else:
        detail = _continuing_the_name(str(item["msg"]))
    if location == "body":
        pointer = json_pointer(path)
        if not path and code in _BODY_SHAPED:
            return FieldError(pointer="", detail="must be a JSON object", code="object_required")
        if code == "extra_forbidden":
            *parents, name = item["loc"]
            models = () if model is None else models_at(model, parents)
            detail = unknown("a member that can be set", str(name)[:MAX_NAME], models)
            return FieldError(pointer=pointer, detail=detail, code="unknown")
        return FieldError(pointer=pointer, detail=detail, code=code)
    # The name alone, also of a repeatable parameter, whose values pydantic counts.
    return FieldError(parameter=str(path[0]), detail=detail, code=code)


def field_errors(error: ValidationError, model: type[BaseModel] | None, *place: str) -> list[FieldError]:
    """Return the errors of a validation in the form of our API, at most `MAX_REPORTED_ERRORS`.

    `model`: the validated model; None if the input is not an object. `place`: the location of the validated input.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [field_error(item, model, place) for item in found[:MAX_REPORTED_ERRORS]]
