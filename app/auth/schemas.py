"""What signing in takes and gives."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.schemas import Input, Schema, Storable, with_example


class Credentials(Input):
    """Who wants to sign in. There is no password policy here: what an account has, it may use."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "admin", "password": "1234"}]})

    username: Annotated[str, Field(min_length=1, max_length=320), Storable]
    # Longer input would only buy more hashing time.
    password: Annotated[str, Field(min_length=1, max_length=256), Storable]


class Token(Schema):
    """An access token."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {"access_token": "eyJhbGciOiJIUzI1NiIs…", "token_type": "bearer", "expires_in": 900}
        )
    )

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Seconds until it expires.")


class UserRead(Schema):
    """A person, as that person sees themselves."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10",
                    "username": "admin",
                    "email": "admin@example.org",
                    "is_active": True,
                    "is_superuser": True,
                    "created_at": "2026-11-22T09:00:00Z",
                }
            ]
        }
    )

    id: UUID
    username: str
    email: str | None
    is_active: bool
    is_superuser: bool = Field(description="Whether this person may administer the service.")
    created_at: datetime
