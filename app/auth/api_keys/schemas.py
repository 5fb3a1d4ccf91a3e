"""Request and response schemas of API keys."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, FailFast, Field
from pydantic_core import PydanticCustomError

from app.auth.schemas import EXAMPLE_ID, EXAMPLE_TIME
from app.auth.scopes import KeyScope
from app.core import clock
from app.core.schemas import CreatedAt, Id, Moment, RequestModel, ResponseModel, with_example
from app.core.text import Line

MAX_SCOPES = 100
"""Scopes that one request may list; the features declare fewer than that."""

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def _future(value: datetime) -> datetime:
    if value <= clock.now():
        raise PydanticCustomError("not_in_future", "must be in the future")
    if value >= _END_OF_TIME:
        # Near the end of the calendar, asyncpg reads a datetime as infinity or cannot convert it to UTC.
        raise PydanticCustomError("too_far", "must be before the year 9999")
    return value


_KEY_EXAMPLE = {
    "id": EXAMPLE_ID,
    "name": "nightly report",
    "prefix": "tlr_3fGk",
    "scopes": ["tasks:read"],
    "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
    "created_at": EXAMPLE_TIME,
    "expires_at": "2027-11-22T09:00:00.000000Z",
    "last_used_at": EXAMPLE_TIME,
}


class ApiKeyCreate(RequestModel):
    """A new API key."""

    model_config = ConfigDict(json_schema_extra=with_example({"name": "nightly report", "scopes": ["tasks:read"]}))

    name: Annotated[str, Line(100), Field(description="What it is for.")]
    scopes: Annotated[
        list[KeyScope],
        FailFast(),
        Field(min_length=1, max_length=MAX_SCOPES, description="What it may be used for."),
    ]
    expires_at: Annotated[Moment, AfterValidator(_future)] | None = Field(
        default=None, description="When it ends, with a time zone, to the microsecond; null for never."
    )
    project_id: UUID | None = Field(
        default=None,
        description="The only project that it can access, which excludes the account's scopes; null for all.",
    )


class ApiKeyRead(ResponseModel):
    """An API key, without its secret."""

    model_config = ConfigDict(json_schema_extra=with_example(_KEY_EXAMPLE))

    id: Id
    name: str
    prefix: str = Field(description="The first characters of the secret, to recognise it.")
    scopes: list[KeyScope]
    project_id: UUID | None
    created_at: CreatedAt
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="When it was last used, to the minute; null for never.")


class ApiKeyIssued(ApiKeyRead):
    """A new API key with its secret, which is shown only once."""

    model_config = ConfigDict(
        json_schema_extra=with_example({**_KEY_EXAMPLE, "secret": "tlr_3fGkExampleExampleExampleExampleExample0000"})
    )

    secret: str = Field(
        description="Shown only once: the service stores a hash of it. Send it as `X-API-Key` or as bearer token."
    )
