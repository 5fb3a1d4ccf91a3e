"""Calling the API as somebody."""

from typing import Any, Self

import httpx2
from fastapi import FastAPI

from app.auth.models import User
from app.auth.scopes import AuthUser


class Api:
    """An HTTP client of the application, without a network, as one caller."""

    def __init__(self, app: FastAPI, headers: dict[str, str] | None = None) -> None:
        self._app = app
        self._client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://taller.test", headers=headers or {}
        )

    async def as_(self, user: User) -> "Api":
        """The same API, called by this person with a token of their own."""
        caller = AuthUser(
            id=user.id,
            username=user.username,
            email=user.email or "",
            hashed_password="",
            is_active=user.is_active,
            is_superuser=user.is_superuser,
            created_at=user.created_at,
        )
        token = await self._app.state.authentication.strategy.write_token(caller)
        return Api(self._app, {"Authorization": f"Bearer {token}"})

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send one request."""
        return await self._client.request(method, path, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        """POST."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> httpx2.Response:
        """PUT."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx2.Response:
        """PATCH."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx2.Response:
        """DELETE."""
        return await self.request("DELETE", path, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


def assert_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The response is a problem document of this status and code; returns it."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.status_code,
        response.text,
    )
    problem: dict[str, Any] = response.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem
