"""The application on a schema that is not its own: behind, it does not start; ahead, it serves."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.migrations import schema_state
from app.main import SchemaBehindError, create_app
from tests.migrations.history import downgrade, empty_database, fresh_name, history
from tests.support import server
from tests.support.client import Api, assert_problem

pytestmark = pytest.mark.slow


@pytest.fixture
def copy_url(server_url: str) -> Iterator[str]:
    """A migrated database whose version a test may change."""
    with server.database_copy(server_url, fresh_name()) as url:
        yield url


async def _set_version(settings: Settings, url: str, version: str | None) -> None:
    database = Database(settings.model_copy(update=server.way_to(url)))
    await database.execute(text("DELETE FROM alembic_version"))
    if version is not None:
        await database.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
    await database.close()


def test_every_earlier_schema_is_behind(settings: Settings, copy_url: str) -> None:
    async def state() -> str:
        database = Database(settings.model_copy(update=server.way_to(copy_url)))
        try:
            return (await schema_state(database)).state
        finally:
            await database.close()

    assert asyncio.run(state()) == "current"
    for revision in [*(script.revision for script in history()[-2::-1]), "base"]:
        downgrade(copy_url, revision)
        assert asyncio.run(state()) == "behind", revision


@pytest.fixture(params=["empty", "base", history()[-2].revision])
def old_url(copy_url: str, server_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with a schema that is not there yet, or was taken back."""
    if request.param == "empty":
        with empty_database(server_url) as url:
            yield url
    else:
        downgrade(copy_url, request.param)
        yield copy_url


async def test_application_does_not_start_on_an_older_schema(settings: Settings, old_url: str) -> None:
    app = create_app(settings.model_copy(update=server.way_to(old_url)))
    with pytest.raises(SchemaBehindError, match="run `taller migrate`"):
        async with app.router.lifespan_context(app):
            pass


async def test_application_is_ready_on_a_newer_schema(settings: Settings, copy_url: str) -> None:
    app = create_app(settings.model_copy(update=server.way_to(copy_url)))
    await _set_version(settings, copy_url, "9999")
    async with app.router.lifespan_context(app), Api(app) as api:
        answer = await api.get("/health/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "schema_state": "ahead"})


async def test_it_is_not_ready_once_its_schema_is_taken_back(settings: Settings, copy_url: str) -> None:
    app = create_app(settings.model_copy(update=server.way_to(copy_url)))
    async with app.router.lifespan_context(app), Api(app) as api:
        answer = await api.get("/health/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "schema_state": "current"})
        await _set_version(settings, copy_url, None)
        answer = await api.get("/health/ready")
        assert_problem(answer, 503, "schema_behind")
        assert "taller migrate" in answer.json()["detail"]
        assert answer.headers["retry-after"].isdigit()
        assert (await api.get("/health/live")).status_code == 200
