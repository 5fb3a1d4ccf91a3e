"""Types that the schemas of every feature share."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _storable(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("nul_character", "must not contain the NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        # JSON's \u escapes can write half of a pair. pydantic refuses it only in text whose length it measures.
        raise PydanticCustomError("string_unicode", "must not contain half of a surrogate pair") from None
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must contain a visible character")
    return value


def _iso_date(value: Any) -> Any:
    # pydantic would also take datetimes and Unix timestamps for a date.
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        raise PydanticCustomError("date_format", "must be a date written YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("date_impossible", "must be a day of the calendar") from None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A check on text, and the pattern by which the JSON schema promises the same."""

    check: Callable[[str], str]
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}


Storable = _Checked(_storable, r"^[^\u0000]*$")
"""Text that PostgreSQL can store: it takes any character but NUL. Stands behind the length: `Annotated[str,
Field(max_length=…), Storable]`, because pydantic measures what a function returned as a list, and says so."""

# What `str.strip` removes, spelled out: the dialects of regular expressions disagree about \s.
_BLANK = r"\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

Visible = _Checked(_not_blank, rf"^[^\u0000]*[^\u0000{_BLANK}][^\u0000]*$")
"""Text that a person can see; stands behind `Storable`."""

Int32 = Annotated[int, Strict(), Field(ge=-(2**31), le=2**31 - 1)]
"""A 32-bit integer; neither a boolean nor a float passes for one."""

Flag = Annotated[bool, Strict()]
"""true or false, and nothing that only resembles them."""

IsoDate = Annotated[date, BeforeValidator(_iso_date)]
"""A calendar date, `YYYY-MM-DD`."""


class _AsText:
    """Writes a UUID as `str` does. pydantic's own way asks it for its number, which takes six times as long with those
    of asyncpg: as long as everything else of a task together.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = core_schema.uuid_schema()
        schema["serialization"] = core_schema.to_string_ser_schema()
        return schema

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "uuid"}


Uuid = Annotated[UUID, _AsText()]
"""The id of something."""

Id = Annotated[Uuid, Field(description="Assigned by the service; ids sort by creation.")]
CreatedAt = Annotated[datetime, Field(description="When it was created (UTC).")]
UpdatedAt = Annotated[datetime, Field(description="When one of its values last changed (UTC).")]
ETag = Annotated[
    str,
    Field(
        description="Names this state; whenever anything here changes, it does. In `If-Match` it lets you change only "
        "what you have seen, in `If-None-Match` it spares you what you have."
    ),
]


def with_example(example: dict[str, Any]) -> JsonDict:
    """The `json_schema_extra` that documents a schema by an example which works as it stands."""
    return {"examples": [example]}


def left_out() -> Any:
    """The default of every member of `Changes`: only says that it may be left out, and is never stored."""
    return None


class Schema(BaseModel):
    """What the service answers. No defaults, so that clients see which members are always there."""


class Input(BaseModel):
    """What a client sends. Unknown and read-only members are refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Changes(Input):
    """A partial update: a member that is left out stays as it is. Fields declare `Field(default_factory=left_out)`."""

    def values(self) -> dict[str, Any]:
        """The members that the client sent, by column name."""
        return self.model_dump(exclude_unset=True)
