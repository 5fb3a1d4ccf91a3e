"""Request and response schemas of sessions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.auth.schemas import EXAMPLE_ID, EXAMPLE_TIME, GivenPassword
from app.core.schemas import Id, RequestModel, ResponseModel, with_example
from app.core.text import NoNul


class Credentials(RequestModel):
    """The username and password of a sign-in."""

    model_config = ConfigDict(json_schema_extra=with_example({"username": "admin", "password": "1234"}))

    username: Annotated[str, Field(min_length=1, max_length=320), NoNul]
    password: GivenPassword


class Tokens(ResponseModel):
    """An access token to call operations with, and a refresh token to get the next pair."""

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


class Refresh(RequestModel):
    """The refresh token of a session."""

    model_config = ConfigDict(json_schema_extra=with_example({"refresh_token": "tlrr_…"}))

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class SessionRead(ResponseModel):
    """A session that has not ended."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": EXAMPLE_ID,
                "is_current": True,
                "user_agent": "curl/8.5.0",
                "address": "192.0.2.7",
                "created_at": EXAMPLE_TIME,
                "refreshed_at": EXAMPLE_TIME,
                "expires_at": "2026-12-22T09:00:00.000000Z",
            }
        )
    )

    id: Id
    is_current: bool = Field(description="Whether it is the session of this request.")
    user_agent: str | None = Field(description="The `User-Agent` of the program that signed in.")
    address: str | None = Field(description="The network address that signed in.")
    created_at: datetime = Field(description="When it began.")
    refreshed_at: datetime = Field(description="When it was last refreshed.")
    expires_at: datetime = Field(description="When it ends unless it is refreshed first.")
