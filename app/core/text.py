"""Texts that people write: their allowed characters, and the form in which they are stored.

Text is stored in Unicode's form NFC, so that equal texts have equal characters. Lines (names, titles) have no control
characters and at least one visible character; longer texts may be empty, and have line breaks and tabs. The JSON
schemas state the same rules as patterns.
"""

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar
from unicodedata import combining, is_normalized, normalize

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, GetPydanticSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

UNPAIRED = "must not contain an unpaired surrogate"
"""What is said of half of a surrogate pair, which a JSON \\u escape can be."""

MAX_MARKS = 30
"""Combining marks in a row, as in Unicode's Stream-Safe Text Format (UAX #15): no language needs a third of them, and
the time to sort marks grows with the square of their number."""

# Includes the overrides of the writing direction, which can make text look like another text. Directional marks and
# isolates are allowed, because people who mix scripts need them.
_OVERRIDES = r"\u202d\u202e"
_NOT_IN_TEXTS = rf"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_OVERRIDES}"
_NOT_IN_LINES = rf"\u0000-\u001f\u007f-\u009f\u2028\u2029{_OVERRIDES}"

# White space, spelled out because dialects of regular expressions disagree about \s; the characters that Unicode calls
# default ignorable (soft hyphen, joiners, fillers, variation selectors, tags, …); the empty Braille pattern; and the
# combining marks of the most common scripts, which show nothing without a base character.
_SHOWS_NOTHING = (
    r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    r"\u2800"
    r"\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    r"\u302a-\u302f\u3099\u309a\ufe20-\ufe2f"
    r"\u05bf\u05c1\u05c2\u0670\u06d6-\u06dc\u06df-\u06e4\u0900-\u0902\u093c\u0941-\u0948\u094d\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
)

_SHOWN = re.compile(f"[^{_SHOWS_NOTHING}{_NOT_IN_LINES}]")
_MAY_BE_MARKS = re.compile(f"[\u0300-\U0010ffff]{{{MAX_MARKS + 1}}}")
"""A quick first check: all combining marks are in this range, and so are most other characters."""


@dataclass(frozen=True, slots=True)
class LongText:
    """Text that may have line breaks and tabs: `Annotated[str, LongText(10_000)]`. With a minimum length, at least one
    character must be visible.
    """

    max_length: int
    min_length: int = 0
    refused: ClassVar[re.Pattern[str]] = re.compile(f"[{_NOT_IN_TEXTS}]")

    def checked(self, value: str) -> str:
        """Return the text in the form to store. Raises the errors that pydantic reports."""
        if value.isascii() and value.isprintable():
            if self.min_length and value.isspace():
                raise _blank()
            return value
        _refuse_nul(value)
        if self.min_length and not _SHOWN.search(value):
            raise _blank()
        if self.refused.search(value):
            raise PydanticCustomError(
                "control_character", "must not contain control characters or overrides of the writing direction"
            )
        value = normalised(value)
        if len(value) < self.min_length:
            raise PydanticKnownError("string_too_short", {"min_length": self.min_length})
        if len(value) > self.max_length:
            # NFC turns some characters into several.
            raise PydanticKnownError("string_too_long", {"max_length": self.max_length})
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        measured = core_schema.str_schema(min_length=self.min_length or None, max_length=self.max_length)
        return core_schema.no_info_after_validator_function(self.checked, measured)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        allowed = f"[^{self.refused.pattern[1:]}*"
        shown = f"[^{_NOT_IN_LINES}{_SHOWS_NOTHING}]{allowed}" if self.min_length else ""
        return {**handler(schema), "pattern": f"^{allowed}{shown}$"}


@dataclass(frozen=True, slots=True)
class Line(LongText):
    """One line of text with at least one visible character: `Annotated[str, Line(200)]`."""

    min_length: int = 1
    refused: ClassVar[re.Pattern[str]] = re.compile(f"[{_NOT_IN_LINES}]")


NoNul = GetPydanticSchema(
    lambda source, handler: core_schema.no_info_after_validator_function(_storable, handler(source)),
    lambda schema, handler: {**handler(schema), "pattern": r"^[^\u0000]*$"},
)
"""Text that PostgreSQL can store: any character but NUL. It must follow the length, as in
`Annotated[str, Field(max_length=…), NoNul]`: pydantic reports the length of a validator's result as that of a list."""


def normalised(value: str) -> str:
    """Return a text in NFC. Raises `PydanticCustomError` for too many combining marks in a row."""
    if value.isascii():
        return value
    if _MAY_BE_MARKS.search(value):
        _refuse_many_marks(value)
    return value if is_normalized("NFC", value) else normalize("NFC", value)


def _storable(value: str) -> str:
    _refuse_nul(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        # A JSON \u escape can be an unpaired surrogate. pydantic refuses it only in text with a length limit.
        raise PydanticCustomError("string_unicode", UNPAIRED) from None
    return value


def _refuse_nul(value: str) -> None:
    if "\0" in value:
        raise PydanticCustomError("nul_character", "must not contain the NUL character")


def _refuse_many_marks(value: str) -> None:
    runs = (sum(1 for _ in run) for is_mark, run in groupby(value, lambda each: combining(each) > 0) if is_mark)
    if max(runs, default=0) > MAX_MARKS:
        raise PydanticCustomError(
            "too_many_marks", "must not have more than {limit} combining marks in a row", {"limit": MAX_MARKS}
        )


def _blank() -> PydanticCustomError:
    return PydanticCustomError("blank", "must contain at least one visible character")
