"""The types of usernames and passwords in requests."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticKnownError

from app.auth.passwords import MAX_LENGTH, MAX_SENT_LENGTH, MIN_LENGTH, normalised_password
from app.core.text import Line, NoNul

EXAMPLE_ID = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10"

EXAMPLE_TIME = "2026-11-22T09:00:00.000000Z"

EXAMPLE_PASSWORD = "correct horse battery"  # noqa: S105 - an example


def _check_length(password: str) -> str:
    if len(normalised_password(password)) > MAX_LENGTH:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_LENGTH})
    return password


Username = Annotated[
    str,
    Field(
        min_length=3,
        max_length=32,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Letters, digits and `._-`; unique without regard to case.",
    ),
]

# At login there is no policy: any password that an account has is valid. The maximum bounds the cost of hashing.
GivenPassword = Annotated[
    str,
    Field(min_length=1, max_length=MAX_SENT_LENGTH, json_schema_extra={"maxLength": MAX_LENGTH}),
    NoNul,
    AfterValidator(_check_length),
]

NewPassword = Annotated[
    str,
    Line(MAX_LENGTH, min_length=MIN_LENGTH),
    Field(
        description="8 to 256 characters, without control characters; not the username, and not one of the most common "
        "passwords.",
    ),
    AfterValidator(normalised_password),
]
