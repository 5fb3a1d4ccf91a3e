"""Two Tallers in one database, each in a schema of its own, which see nothing of each other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from app.auth.models import User
from app.cli.database import schema_state_at
from app.cli.upgrading import upgrade
from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.support import server
from tests.support.client import Api, bearer_of
from tests.support.factories import store

SCHEMAS = ("team_a", "team_b")


@pytest.fixture(scope="module")
def url(server_url: str, worker_id: str) -> Iterator[str]:
    with server.database_copy(server_url, f"{server.PREFIX}schemas_{worker_id}") as url:
        yield url


@pytest.fixture
async def apis(url: str) -> AsyncIterator[list[tuple[Api, dict[str, str]]]]:
    """The API of each schema, called by a person of its own, and how that person signs in."""
    async with AsyncExitStack() as stack:
        apis = []
        for schema in SCHEMAS:
            settings = Settings(_env_file=None, database_schema=schema, database_url=url, argon2_memory_cost=8)
            assert settings.database_url is not None
            assert (await schema_state_at(settings.database_url)).revision is None
            await asyncio.to_thread(upgrade, settings.database_url)
            app = create_app(settings)
            await stack.enter_async_context(app.router.lifespan_context(app))
            user: User = UserFactory.build()
            await store(app.state.services[Database], user)
            bearer = await bearer_of(app, user)
            apis.append((await stack.enter_async_context(Api(app, bearer)), bearer))
        yield apis


async def test_two_in_one_database_do_not_see_each_other(apis: list[tuple[Api, dict[str, str]]]) -> None:
    (one, bearer), (two, _) = apis
    made = (await one.post("/projects/", json={"name": "Only here"})).json()
    assert (await one.get(f"/projects/{made['id']}")).status_code == 200
    assert (await two.get(f"/projects/{made['id']}")).status_code == 404
    assert (await two.get("/projects/")).json()["total"] == 0
    assert (await two.get("/auth/me")).status_code == 200
    # The session of one is none in the other.
    assert (await two.get("/auth/me", headers=bearer)).status_code == 401
