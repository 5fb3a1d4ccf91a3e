"""Types that the schemas of every feature share."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetPydanticSchema, Strict
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError, core_schema

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Clocks in Go and Java write nanoseconds; digits beyond microseconds are cut off.
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:(?P<second>\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _whole(value: Any) -> Any:
    # In JSON Schema, 1.0 and 1e2 are integers. Some programs have floating-point numbers only.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any) -> Any:
    # pydantic would also accept Unix timestamps, dates, and times without a zone.
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not (found := _MOMENT.fullmatch(value)):
        raise PydanticCustomError(
            "datetime_format", "must be a time such as 2026-11-22T09:00:00Z (in a query, write + as %2B)"
        )
    is_leap = found["second"] == "60"
    text = value.upper()
    if is_leap:
        start, end = found.span("second")
        text = f"{text[:start]}59{text[end:]}"
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) + timedelta(seconds=is_leap)
    except OverflowError:
        # Only its zone moves it out of the calendar's range, by hours.
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)
    except ValueError:
        raise PydanticCustomError("datetime_impossible", "must be an existing date and time") from None


def _iso_date(value: Any) -> Any:
    # pydantic would also accept datetimes and Unix timestamps as a date.
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        raise PydanticCustomError("date_format", "must be a date in the form YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("date_impossible", "must be an existing date") from None


Int32 = Annotated[int, Strict(), Field(ge=-(2**31), le=2**31 - 1), BeforeValidator(_whole)]
"""A 32-bit integer, also in the form 1.0; booleans and strings are refused."""

IsoDate = Annotated[date, BeforeValidator(_iso_date)]
"""A calendar date, `YYYY-MM-DD`."""

Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A moment (RFC 3339), to the microsecond. A leap second counts as the second after it."""


AS_TEXT = GetPydanticSchema(
    lambda *_: core_schema.uuid_schema(serialization=core_schema.to_string_ser_schema()),
    lambda *_: {"type": "string", "format": "uuid"},
)
"""Serialises a UUID with `str`. pydantic's own serialiser reads the UUID's integer, which takes six times as long with
asyncpg's class: as long as all other fields of a task together."""


AS_JSON = BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value)
"""Parses a value that the database returned as JSON text."""

Uuid = Annotated[UUID, AS_TEXT]
"""An id."""

IdList = Annotated[list[Uuid], AS_JSON]
"""Ids in a response, from a column of the type `app.core.database.models.IdList`."""

Id = Annotated[Uuid, Field(description="Assigned by the service; ids sort by creation.")]
CreatedAt = Annotated[datetime, Field(description="When it was created (UTC).")]
UpdatedAt = Annotated[datetime, Field(description="When one of its values last changed (UTC).")]
ETag = Annotated[
    str,
    Field(
        description="The entity tag of this state; it changes whenever anything here changes. Send it in `If-Match` to "
        "change only the state that you have read, or in `If-None-Match` to get 304 if nothing has changed."
    ),
]


def with_example(example: dict[str, Any]) -> JsonDict:
    """Return the `json_schema_extra` with a valid example of a schema."""
    return {"examples": [example]}


unset: Callable[[], Any] = NoneType
"""Returns the default of a member of a `PatchModel`: it makes the member optional, and is never stored."""


class ResponseModel(BaseModel):
    """The base of response bodies. Without defaults, so that the schema says which members are always there."""


class RequestModel(BaseModel):
    """The base of request bodies. Unknown and read-only members are refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    also_called: ClassVar[Mapping[str, str]] = {}
    """What other APIs call members, or parameters, that this has, for suggestions."""


class PatchModel(RequestModel):
    """The base of partial updates: omitted members stay unchanged. Fields declare `Field(default_factory=unset)`."""

    def values(self) -> dict[str, Any]:
        """Return the members that the client sent, by column name."""
        members = vars(self)
        return {name: members[name] for name in sorted(self.model_fields_set)}
