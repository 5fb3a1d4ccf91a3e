"""Calling the API as somebody."""

import sys
from typing import Any, Self

import httpx2
from fastapi import FastAPI

from app.auth.manager import Authentication
from app.auth.models import User
from app.auth.tokens import issue_access_token
from app.core.database.database import Database
from tests.auth.factories import SessionFactory
from tests.support.factories import store

ADDRESS = "http://taller.test"

# For each request, httpx2 tries to import it. Where it is not installed, that searches the path each time: a tenth of
# what a test takes.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type] # ty: ignore


async def bearer_of(app: FastAPI, user: User, *, expires_in: int = 3600) -> dict[str, str]:
    """Return the `Authorization` header of a new session of this user."""
    session = SessionFactory.build(user_id=user.id)
    await store(app.state.services[Database], session)
    token = issue_access_token(app.state.services[Authentication].ring, user.id, session.id, expires_in)
    return {"Authorization": f"Bearer {token}"}


class Api:
    """An HTTP client of the application, without a network, as one caller."""

    def __init__(self, app: FastAPI, headers: dict[str, str] | None = None, *, address: str = "127.0.0.1") -> None:
        self._app = app
        self._client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app, client=(address, 1234)),
            headers=headers or {},
        )

    async def as_(self, user: User) -> "Api":
        """Return the same API, called by this user with a token of their own."""
        return Api(self._app, await bearer_of(self._app, user))

    def with_key(self, secret: str) -> "Api":
        """Return the same API, called with an API key."""
        return Api(self._app, {"X-API-Key": secret})

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send one request."""
        return await self._client.request(method, f"{ADDRESS}{path}", **options)

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
    """Assert that the response is a problem document with this status and code, and return it."""
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


def tag_of(answer: httpx2.Response) -> str:
    """Return the entity tag of a response, which has it in its header and in its body."""
    assert answer.is_success, answer.text
    tag: str = answer.json()["etag"]
    assert answer.headers.get_list("etag") == [tag]
    assert answer.headers.get_list("cache-control") == ["private, no-cache"]
    assert tag.startswith('"')
    return tag
