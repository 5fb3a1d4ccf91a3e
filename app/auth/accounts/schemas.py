"""What accounts take and give."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from app.auth.emails import Email
from app.auth.schemas import EXAMPLE_ID, EXAMPLE_PASSWORD, EXAMPLE_TIME, GivenPassword, NewPassword, Username
from app.auth.scopes import KeyScope
from app.core.schemas import CreatedAt, Id, PatchModel, RequestModel, ResponseModel, StrictBool, unset, with_example


class Registration(RequestModel):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra=with_example({"username": "ana", "email": "ana@example.org", "password": EXAMPLE_PASSWORD})
    )

    username: Username
    email: Email | None = None
    password: NewPassword


_USER = {
    "id": EXAMPLE_ID,
    "username": "ana",
    "email": "ana@example.org",
    "is_active": True,
    "is_superuser": False,
    "created_at": EXAMPLE_TIME,
}
"""An example of an account."""


class UserRead(ResponseModel):
    """An account, as its person and administrators see it."""

    model_config = ConfigDict(json_schema_extra=with_example(_USER))

    id: Id
    username: str
    email: str | None
    is_active: bool = Field(description="Whether this person may sign in.")
    is_superuser: bool = Field(description="Whether this person administers the service.")
    created_at: CreatedAt


class SignedInBy(ResponseModel):
    """How the caller is signed in, how far that reaches, and until when."""

    method: Literal["session", "api_key"]
    id: UUID = Field(description="The session's or the API key's id.")
    scopes: list[KeyScope] = Field(description="What it may be used for, with what that includes.")
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
                **_USER,
                "signed_in_by": {
                    "method": "api_key",
                    "id": EXAMPLE_ID,
                    "scopes": ["account:read", "tasks:read"],
                    "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
                    "expires_at": "2026-11-22T09:15:00.000000Z",
                    "must_choose_password": False,
                },
            }
        )
    )

    signed_in_by: SignedInBy


class MeUpdate(PatchModel):
    """Changes to one's own account; any change needs the current password."""

    model_config = ConfigDict(
        json_schema_extra=with_example({"email": "ana@example.com", "current_password": EXAMPLE_PASSWORD})
    )

    email: Email | None = Field(default_factory=unset)
    password: NewPassword = Field(default_factory=unset)
    current_password: GivenPassword


class AccountDeletion(RequestModel):
    """A person who wants to leave for good."""

    model_config = ConfigDict(json_schema_extra=with_example({"password": EXAMPLE_PASSWORD}))

    password: GivenPassword


class UserCreate(RequestModel):
    """An account that an administrator makes for somebody."""

    model_config = ConfigDict(json_schema_extra=with_example({"username": "ben", "email": "ben@example.org"}))

    username: Username
    email: Email | None = None
    is_superuser: StrictBool = False


class UserUpdate(PatchModel):
    """What an administrator changes in an account."""

    model_config = ConfigDict(json_schema_extra=with_example({"is_active": False}))

    email: Email | None = Field(default_factory=unset)
    is_active: StrictBool = Field(default_factory=unset)
    is_superuser: StrictBool = Field(default_factory=unset)
    reset_password: Literal[True] = Field(
        default_factory=unset, description="Give the account a one-time password, and end its sessions."
    )


class UserAdministered(UserRead):
    """An account after an administrator's change."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": EXAMPLE_ID,
                "username": "ben",
                "email": "ben@example.org",
                "is_active": True,
                "is_superuser": False,
                "created_at": EXAMPLE_TIME,
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


class PersonRead(ResponseModel):
    """What everybody may know of a person."""

    model_config = ConfigDict(json_schema_extra=with_example({"id": EXAMPLE_ID, "username": "ben"}))

    id: UUID
    username: str
