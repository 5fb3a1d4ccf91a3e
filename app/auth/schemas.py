"""The types of usernames and passwords in requests."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

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


_PERSON = re.compile("me|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

ME = UUID(int=0)
"""Stands for the caller in a `PersonId`. It is compared by identity, since a request may contain an equal id."""


def _person(value: object) -> UUID:
    if not isinstance(value, str) or not _PERSON.fullmatch(value):
        raise PydanticCustomError("person", "must be the id of a person, or me")
    return ME if value == "me" else UUID(value)


PersonId = Annotated[
    UUID,
    PlainValidator(_person),
    WithJsonSchema({"type": "string", "pattern": f"^({_PERSON.pattern})$", "examples": ["me"]}),
]
"""A user id in a query, or `me` for the caller."""


def by_id(person_id: UUID, caller_id: UUID) -> UUID:
    """Return the user id of a `PersonId`."""
    return caller_id if person_id is ME else person_id
