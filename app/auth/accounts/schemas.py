"""Request and response schemas of accounts."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StrictBool

from app.auth.emails import Email
from app.auth.schemas import EXAMPLE_ID, EXAMPLE_PASSWORD, EXAMPLE_TIME, GivenPassword, NewPassword, Username
from app.auth.scopes import KeyScope
from app.core.schemas import CreatedAt, Id, PatchModel, RequestModel, ResponseModel, unset, with_example


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
    """An account, as its owner and administrators see it."""

    model_config = ConfigDict(json_schema_extra=with_example(_USER))

    id: Id
    username: str
    email: str | None
    is_active: bool = Field(description="Whether this person may sign in.")
    is_superuser: bool = Field(description="Whether this person administers the service.")
    created_at: CreatedAt


class SignedInBy(ResponseModel):
    """How the caller is signed in, with which rights, and until when."""

    method: Literal["session", "api_key"]
    id: UUID = Field(description="The session's or the API key's id.")
    scopes: list[KeyScope] = Field(description="The scopes, including those that others imply.")
    project_id: UUID | None = Field(description="The only project that an API key can access; null for all.")
    expires_at: datetime | None = Field(description="When the access token or API key ends; null for never.")
    must_choose_password: bool = Field(
        description="Whether this session began with a one-time password: set a new one with `PATCH /auth/me` before "
        "anything else."
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
    """Changes to the caller's own account; any change needs the current password."""

    model_config = ConfigDict(
        json_schema_extra=with_example({"email": "ana@example.com", "current_password": EXAMPLE_PASSWORD})
    )

    email: Email | None = Field(default_factory=unset)
    password: NewPassword = Field(default_factory=unset)
    current_password: GivenPassword


class AccountDeletion(RequestModel):
    """The confirmation that an account is to be deleted."""

    model_config = ConfigDict(json_schema_extra=with_example({"password": EXAMPLE_PASSWORD}))

    password: GivenPassword


class UserCreate(RequestModel):
    """A new account that an administrator creates for somebody else."""

    model_config = ConfigDict(json_schema_extra=with_example({"username": "ben", "email": "ben@example.org"}))

    username: Username
    email: Email | None = None
    is_superuser: StrictBool = False


class UserUpdate(PatchModel):
    """Changes to an account by an administrator."""

    model_config = ConfigDict(json_schema_extra=with_example({"is_active": False}))

    email: Email | None = Field(default_factory=unset)
    is_active: StrictBool = Field(default_factory=unset)
    is_superuser: StrictBool = Field(default_factory=unset)
    reset_password: Literal[True] = Field(
        default_factory=unset, description="Give the account a one-time password, and end its sessions."
    )


class UserAdministered(UserRead):
    """An account after an administrator has created or changed it."""

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
        description="Shown only once. Valid for one sign-in, in which the person sets a password with `PATCH /auth/me` "
        "before anything else. Null if none was created."
    )
    one_time_password_expires_at: datetime | None = Field(
        description="When the one-time password expires; null if none was created."
    )


class PersonRead(ResponseModel):
    """The public part of an account."""

    model_config = ConfigDict(json_schema_extra=with_example({"id": EXAMPLE_ID, "username": "ben"}))

    id: UUID
    username: str
