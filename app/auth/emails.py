"""E-mail addresses: one regular expression, which the OpenAPI document states and the service applies.

The library email-validator normalises an address before it checks the length, which costs seconds for 4 KB. It also
refuses special domains (`.test`, `.local`) that differ from version to version, which no document could state.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_LENGTH = 254
"""Characters (RFC 5321 allows a path of 256 with its angle brackets)."""

# Control characters, spaces and most invisible characters, spelt out because dialects of regular expressions disagree
# about \s. Also the characters that NFC turns into a semicolon or a backtick: a stored address must be valid input.
_NEVER = r"\u0000-\u0020\u007f-\u00a0\u00ad\u037e\u1fef\u2000-\u206f\u3000-\u3002\ufeff"
_ATOM = rf'[^{_NEVER}"(),.:;<>@\[\\\]]+'
_NO_LETTER = rf"{_NEVER}!-\/:-@\[-`{{-~"
_WORDS = rf"(?:-+[^{_NO_LETTER}]+)*"

PATTERN = (
    rf"^{_ATOM}(?:\.{_ATOM})*"
    rf"@(?:[^{_NO_LETTER}]+{_WORDS}\.)+[^{_NO_LETTER}0-9][^{_NO_LETTER}]*{_WORDS}$"
)
"""In ECMA-262, as JSON Schema requires. Adjacent parts share no character, so that matching takes linear time."""

_matches = re.compile(PATTERN.removeprefix("^").removesuffix("$")).fullmatch


def _address(value: str) -> str:
    # pydantic has checked the length already.
    if _matches(value) is None:
        raise PydanticCustomError("email_form", "must be a bare address such as ada@example.org")
    normalised = unicodedata.normalize("NFC", value)
    if len(normalised) > MAX_LENGTH:
        # In a few scripts, NFC splits a letter into two or three characters.
        raise PydanticCustomError(
            "string_too_long", f"must have at most {MAX_LENGTH} characters after normalisation (NFC)"
        )
    return normalised


Email = Annotated[
    str,
    Field(max_length=MAX_LENGTH),
    AfterValidator(_address),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_LENGTH,
            "pattern": PATTERN,
            "description": "An address alone, without a name: `name@domain`, the domain with a dot in it. Kept in "
            "Unicode's normal form NFC; unique without regard to the case of A to Z.",
        }
    ),
]
"""An e-mail address, in NFC. Nobody has verified that it exists."""
