"""Errors: each is a class, and is sent as a problem document (RFC 9457).

A feature adds an error by subclassing `AppError` (or one of the families below) in its own `errors.py`. A class without
status, code or title, or with a code that is taken, fails at import.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NotRequired, Self
from urllib.parse import quote

from pydantic import Field
from typing_extensions import TypedDict

PROBLEM_MEDIA_TYPE = "application/problem+json"

MAX_REPORTED_ERRORS = 20
"""Invalid values that one response lists."""

MAX_NAME = 100
"""Characters of a submitted name that a response repeats."""

_MAX_INSTANCE = 500
"""Characters of the path that a problem repeats; the path of every operation is shorter."""


class FieldError(TypedDict):
    """What is wrong with one value."""

    pointer: NotRequired[Annotated[str, Field(description="The value's location in the body (RFC 6901).")]]
    parameter: NotRequired[Annotated[str, Field(description="The name of the path, query or header parameter.")]]
    detail: Annotated[str, Field(description="What is wrong, in words.")]
    code: Annotated[str, Field(description="What is wrong, for programs.")]
    id: NotRequired[
        Annotated[str, Field(description="The id of what has the value already.", json_schema_extra={"format": "uuid"})]
    ]


_URI: dict[str, Any] = {"format": "uri-reference"}


class Problem(TypedDict):
    """Why a request was not fulfilled (RFC 9457)."""

    type: Annotated[str, Field(description="The address of the code's documentation.", json_schema_extra=_URI)]
    title: Annotated[str, Field(description="What went wrong, the same for every problem of this code.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What went wrong this time, or what to do about it.")]
    instance: Annotated[str, Field(description="The path of the request.", json_schema_extra=_URI)]
    code: Annotated[str, Field(description="The stable name of this kind of problem, for programs.")]
    request_id: Annotated[str, Field(description="Names this request in the service's log.")]
    errors: NotRequired[Annotated[list[FieldError], Field(description="Each value that was refused.")]]


class AppError(Exception):
    """An error that is reported to the caller.

    `detail` is shown to the caller: it must say what to do and must not repeat submitted values.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    """What the caller can do about it, for the documentation; the class's docstring."""

    constraint: ClassVar[str | None] = None
    """The name of a database constraint that any write may violate, which is reported as this error."""

    catalogue: ClassVar[dict[str, type["AppError"]]] = {}
    """Every error by its code; the documentation and the OpenAPI responses are made from it."""

    by_constraint: ClassVar[dict[str, type["AppError"]]] = {}
    """Every error with a constraint, by that."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        missing = [name for name in ("status", "code", "title") if not hasattr(cls, name)]
        if missing or not cls.__doc__:
            raise TypeError(f"{cls.__qualname__} lacks {', '.join(missing) or 'a docstring'}")
        if "code" not in vars(cls):
            raise TypeError(f"{cls.__qualname__} needs a code of its own")
        taken = AppError.catalogue.setdefault(cls.code, cls)
        if taken is not cls:
            raise TypeError(f"{cls.__qualname__} and {taken.__qualname__} share the code {cls.code!r}")
        cls.help = " ".join(cls.__doc__.split())
        if cls.constraint is not None:
            AppError.by_constraint[cls.constraint] = cls

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.help
        self.errors = list(errors)
        self.headers = dict(headers or {})


class InvalidRequestError(AppError):
    """The request contains invalid values: `errors` names each field or parameter and the reason."""

    status = 400
    code = "invalid_request"
    title = "Invalid request"

    def __init__(self, detail: str | None = None, *, errors: Sequence[FieldError] = ()) -> None:
        if detail is None and errors:
            where = errors[0].get("pointer") or errors[0].get("parameter") or "The body"
            more = f" ({len(errors) - 1} more in `errors`)" if len(errors) > 1 else ""
            # A question about what was meant has its mark already.
            end = "" if errors[0]["detail"].endswith("?") and not more else "."
            detail = f"{where} {errors[0]['detail']}{more}{end}"
        super().__init__(detail, errors=errors)

    @classmethod
    def at(cls, detail: str, code: str, *, pointer: str | None = None, parameter: str | None = None) -> Self:
        """Return the error for one value: a value in the body has a `pointer`, any other a `parameter`."""
        if parameter is None:
            return cls(errors=[FieldError(pointer=pointer or "", detail=detail, code=code)])
        return cls(errors=[FieldError(parameter=parameter, detail=detail, code=code)])


class InvalidJsonError(AppError):
    """The request body is not valid JSON in UTF-8."""

    status = 400
    code = "invalid_json"
    title = "Invalid JSON"


class ForbiddenError(AppError):
    """You are not allowed to do this."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class NotFoundError(AppError):
    """There is nothing at this address."""

    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowedError(AppError):
    """This address does not support the method; the header `Allow` lists those that it supports."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__(headers={"Allow": ", ".join(sorted(allowed))})


class ConflictError(AppError):
    """The request conflicts with the current state of the resource."""

    status = 409
    code = "conflict"
    title = "Conflict"


class BodyTooLargeError(AppError):
    """The request body is larger than the service accepts."""

    status = 413
    code = "body_too_large"
    title = "Body too large"


class UnsupportedMediaTypeError(AppError):
    """Send the body with a `Content-Type` that this operation accepts, and without `Content-Encoding`."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class TooManyRequestsError(AppError):
    """You have reached the limit of requests in `RateLimit-Policy`: try again after `Retry-After` seconds."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, retry_after: int = 60, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class InternalError(AppError):
    """The service failed unexpectedly. Nothing was changed, and the failure is logged under the `request_id`."""

    status = 500
    code = "internal_error"
    title = "Internal error"


class UnavailableError(AppError):
    """The service is overloaded or cannot reach its database: try again after `Retry-After` seconds."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class StatementTimeoutError(UnavailableError):
    """The database took longer than the service allows for one statement: narrow the request or try again later."""

    code = "statement_timeout"
    title = "Statement timeout"


def json_pointer(path: Iterable[object]) -> str:
    """Return the JSON pointer (RFC 6901) of a path into the body; each name is cut after `MAX_NAME` characters."""
    return "".join("/" + str(part)[:MAX_NAME].replace("~", "~0").replace("/", "~1") for part in path)


class ReadOnlyError(UnavailableError):
    """The database is read-only at the moment: try again after `Retry-After` seconds."""

    code = "read_only"
    title = "Database read-only"

    def __init__(self) -> None:
        super().__init__(retry_after=1)


def problem_document(
    kind: type[AppError],
    detail: str,
    errors: Sequence[FieldError] = (),
    *,
    instance: str,
    request_id: str,
    prefix: str = "",
) -> Problem:
    """Return the document of an error of this kind at the (decoded) path `instance`.

    `type` is the address of the code's documentation on this service; clients put `prefix` before each path.
    """
    document: Problem = {
        "type": f"{prefix}/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        # By definition a URI reference, so the path, which the server has decoded, is encoded again.
        "instance": prefix + quote(instance[:_MAX_INSTANCE], safe="/:@!$&'()*+,;=~", errors="replace"),
        "code": kind.code,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = list(errors)
    return document
