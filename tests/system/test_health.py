"""Liveness and readiness."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.migrations import head_revision
from app.main import SchemaBehindError, create_app
from tests.support import server
from tests.support.client import Api, assert_problem

_numbers = count()


@pytest.fixture
def other_url(server_url: str, worker_id: str) -> Iterator[str]:
    """A migrated database that the test may change."""
    # Another name each time: a PgBouncer remembers for a moment that there was no such database.
    name = f"{server.PREFIX}health_{worker_id}_{os.getpid()}_{next(_numbers)}"
    with server.database_copy(server_url, name) as url:
        yield url


@pytest.fixture
def other_app(settings: Settings, other_url: str) -> FastAPI:
    return create_app(settings.model_copy(update=server.way_to(other_url)))


async def test_it_lives_and_is_ready_for_anybody_at_the_root(anonymous: Api) -> None:
    for slash in ("", "/"):
        assert (await anonymous.get(f"/health/live{slash}")).json() == {"status": "ok"}
        ready = await anonymous.get(f"/health/ready{slash}")
        assert (ready.status_code, ready.json()) == (200, {"status": "ok", "schema_state": "current"})


@pytest.mark.parametrize("change", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
async def test_service_with_an_old_schema_is_not_ready(other_app: FastAPI, change: str) -> None:
    async with other_app.router.lifespan_context(other_app), Api(other_app) as api:
        assert (await api.get("/health/ready")).status_code == 200
        await other_app.state.services[Database].fetch_all(text(change))
        answer = await api.get("/health/ready")
        assert_problem(answer, 503, "schema_behind")
        assert int(answer.headers["retry-after"]) > 0
        assert (await api.get("/health/live")).status_code == 200
    with pytest.raises(SchemaBehindError, match=f"{head_revision()}.*taller migrate"):
        async with other_app.router.lifespan_context(other_app):
            pass


async def test_with_the_schema_of_a_newer_release_it_serves(other_app: FastAPI) -> None:
    async with other_app.router.lifespan_context(other_app), Api(other_app) as api:
        await other_app.state.services[Database].fetch_all(
            text("UPDATE alembic_version SET version_num = 'from-the-future'")
        )
        answer = await api.get("/health/ready")
        assert (answer.status_code, answer.json()["schema_state"]) == (200, "ahead")
    async with other_app.router.lifespan_context(other_app), Api(other_app) as api:
        assert (await api.get("/health/ready")).status_code == 200
