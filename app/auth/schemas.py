"""What signing in, accounts, sessions and keys take and give."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError, PydanticKnownError

from app.auth.emails import Email
from app.auth.passwords import MAX_LENGTH, MAX_SENT_LENGTH, MIN_LENGTH, prepared
from app.auth.scopes import Scope
from app.core import clock
from app.core.schemas import Changes, CreatedAt, Flag, Id, Input, Moment, Schema, left_out, with_example
from app.core.text import Line, Storable

_ID = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10"
_NOW = "2026-11-22T09:00:00.000000Z"
_PASSWORD = "correct horse battery"  # noqa: S105 - an example


_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def _as_long_as_prepared(password: str) -> str:
    if len(prepared(password)) > MAX_LENGTH:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_LENGTH})
    return password


def _future(value: datetime) -> datetime:
    if value <= clock.now():
        raise PydanticCustomError("not_in_future", "must lie in the future")
    if value >= _END_OF_TIME:
        # Near the end of the calendar, asyncpg takes it for infinity or cannot write it in UTC.
        raise PydanticCustomError("too_far", "must lie before the year 9999")
    return value


Username = Annotated[
    str,
    Field(
        min_length=3,
        max_length=32,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Letters, digits and `._-`; unique without regard to case.",
    ),
]
# At login there is no policy: what an account has, it may use. The maximum bounds what hashing it costs.
GivenPassword = Annotated[
    str,
    Field(min_length=1, max_length=MAX_SENT_LENGTH, json_schema_extra={"maxLength": MAX_LENGTH}),
    Storable,
    AfterValidator(_as_long_as_prepared),
]
NewPassword = Annotated[
    str,
    Line(MAX_LENGTH, min_length=MIN_LENGTH),
    Field(
        description="8 to 256 characters, without control characters; not the username, and not one of the most common "
        "passwords.",
    ),
    AfterValidator(prepared),
]


class Credentials(Input):
    """Who wants to sign in."""

    model_config = ConfigDict(json_schema_extra=with_example({"username": "admin", "password": "1234"}))

    username: Annotated[str, Field(min_length=1, max_length=320), Storable]
    password: GivenPassword


class Tokens(Schema):
    """What a sign-in gives: a token to call with, and one to get the next."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjVmMWMiLCJ0eXAiOiJhdCtqd3QifQ.e30.c2lnbmF0dXJl",
                "token_type": "bearer",
                "expires_in": 900,
                "refresh_token": "tlrr_AZkvPHpOfTqdDgxsHyuKEAAAAABexampleexampleexample",
            }
        )
    )

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Seconds until the access token expires.")
    refresh_token: str = Field(description="Exchange it for the next pair, once, at `/auth/refresh`.")


class Refresh(Input):
    """The refresh token of a session."""

    model_config = ConfigDict(json_schema_extra=with_example({"refresh_token": "tlrr_…"}))

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class Registration(Input):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra=with_example({"username": "ana", "email": "ana@example.org", "password": _PASSWORD})
    )

    username: Username
    email: Email | None = None
    password: NewPassword


class UserRead(Schema):
    """An account, as its person and administrators see it."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": _ID,
                "username": "ana",
                "email": "ana@example.org",
                "is_active": True,
                "is_superuser": False,
                "created_at": _NOW,
            }
        )
    )

    id: Id
    username: str
    email: str | None
    is_active: bool = Field(description="Whether this person may sign in.")
    is_superuser: bool = Field(description="Whether this person administers the service.")
    created_at: CreatedAt


class SignedInBy(Schema):
    """How the caller is signed in, how far that reaches, and until when."""

    method: Literal["session", "api_key"]
    id: UUID = Field(description="The session's or the API key's id.")
    scopes: list[Scope] = Field(description="What it may be used for, with what that includes.")
    project_id: UUID | None = Field(description="The only project that an API key reaches; null for all.")
    expires_at: datetime | None = Field(description="When the access token or API key ends; null for never.")
    must_choose_password: bool = Field(
        description="Whether a one-time password began this session: it may do nothing else until `PATCH /auth/me` has "
        "set another."
    )


class Me(UserRead):
    """The caller."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": _ID,
                "username": "ana",
                "email": "ana@example.org",
                "is_active": True,
                "is_superuser": False,
                "created_at": _NOW,
                "signed_in_by": {
                    "method": "api_key",
                    "id": _ID,
                    "scopes": ["account:read", "tasks:read"],
                    "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
                    "expires_at": "2026-11-22T09:15:00.000000Z",
                    "must_choose_password": False,
                },
            }
        )
    )

    signed_in_by: SignedInBy


class MeUpdate(Changes):
    """Changes to one's own account; any change needs the current password."""

    model_config = ConfigDict(
        json_schema_extra=with_example({"email": "ana@example.com", "current_password": _PASSWORD})
    )

    email: Email | None = Field(default_factory=left_out)
    password: NewPassword = Field(default_factory=left_out)
    current_password: GivenPassword


class AccountDeletion(Input):
    """A person who wants to leave for good."""

    model_config = ConfigDict(json_schema_extra=with_example({"password": _PASSWORD}))

    password: GivenPassword


class UserCreate(Input):
    """An account that an administrator makes for somebody."""

    model_config = ConfigDict(json_schema_extra=with_example({"username": "ben", "email": "ben@example.org"}))

    username: Username
    email: Email | None = None
    is_superuser: Flag = False


class UserUpdate(Changes):
    """What an administrator changes in an account."""

    model_config = ConfigDict(json_schema_extra=with_example({"is_active": False}))

    email: Email | None = Field(default_factory=left_out)
    is_active: Flag = Field(default_factory=left_out)
    is_superuser: Flag = Field(default_factory=left_out)
    reset_password: Literal[True] = Field(
        default_factory=left_out, description="Give the account a one-time password, and end its sessions."
    )


class UserAdministered(UserRead):
    """An account after an administrator's change."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": _ID,
                "username": "ben",
                "email": "ben@example.org",
                "is_active": True,
                "is_superuser": False,
                "created_at": _NOW,
                "one_time_password": "kWq7TzR4mNbX9cHd",
                "one_time_password_expires_at": "2026-11-29T09:00:00.000000Z",
            }
        )
    )

    one_time_password: str | None = Field(
        description="Shown once: good for one sign-in, in which the person sets a password by `PATCH /auth/me` before "
        "doing anything else."
    )
    one_time_password_expires_at: datetime | None = Field(
        description="By when another password has to be set; null where none was made."
    )


class PersonRead(Schema):
    """What everybody may know of a person."""

    model_config = ConfigDict(json_schema_extra=with_example({"id": _ID, "username": "ben"}))

    id: UUID
    username: str


class SessionRead(Schema):
    """A sign-in that has not ended."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": _ID,
                "is_current": True,
                "user_agent": "curl/8.5.0",
                "address": "192.0.2.7",
                "created_at": _NOW,
                "refreshed_at": _NOW,
                "expires_at": "2026-12-22T09:00:00.000000Z",
            }
        )
    )

    id: Id
    is_current: bool = Field(description="Whether it is the session of this request.")
    user_agent: str | None = Field(description="What the program that signed in called itself.")
    address: str | None = Field(description="The network address that signed in.")
    created_at: datetime = Field(description="When it began.")
    refreshed_at: datetime = Field(description="When it was last refreshed.")
    expires_at: datetime = Field(description="When it ends unless it is refreshed before.")


_KEY_EXAMPLE = {
    "id": _ID,
    "name": "nightly report",
    "prefix": "tlr_3fGk",
    "scopes": ["tasks:read"],
    "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
    "created_at": _NOW,
    "expires_at": "2027-11-22T09:00:00.000000Z",
    "last_used_at": _NOW,
}


class ApiKeyCreate(Input):
    """A new API key."""

    model_config = ConfigDict(json_schema_extra=with_example({"name": "nightly report", "scopes": ["tasks:read"]}))

    name: Annotated[str, Line(100), Field(description="What it is for.")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope), description="What it may be used for.")]
    expires_at: Annotated[Moment, AfterValidator(_future)] | None = Field(
        default=None, description="When it ends, with a time zone, to the microsecond; null for never."
    )
    project_id: UUID | None = Field(
        default=None, description="The only project that it reaches, without scopes of the account; null for all."
    )


class ApiKeyRead(Schema):
    """An API key, without its secret."""

    model_config = ConfigDict(json_schema_extra=with_example(_KEY_EXAMPLE))

    id: Id
    name: str
    prefix: str = Field(description="The first characters of the secret, to recognise it by.")
    scopes: list[Scope]
    project_id: UUID | None
    created_at: CreatedAt
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="When it was last used, to the minute; null for never.")


class ApiKeyIssued(ApiKeyRead):
    """A new API key, with its secret for this once."""

    model_config = ConfigDict(
        json_schema_extra=with_example({**_KEY_EXAMPLE, "secret": "tlr_3fGkExampleExampleExampleExampleExample0000"})
    )

    secret: str = Field(description="Shown once: only a hash of it is kept. Send it as `X-API-Key` or bearer token.")
