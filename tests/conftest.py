"""Wiring only: a real PostgreSQL, the application on it, and callers. Nothing of a feature but the people."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.callers import CallerCache
from app.auth.models import User
from app.core import clock
from app.core.concurrency import CallerShares
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.models import Base
from app.core.ids import uuid7
from app.main import create_app
from devtools import pgbouncer
from tests.auth.factories import UserFactory
from tests.support import citus, server
from tests.support.client import Api
from tests.support.factories import store
from tests.support.process import Service, running_service
from tests.support.slow import pytest_runtest_call, pytest_runtest_protocol

__all__ = ["pytest_runtest_call", "pytest_runtest_protocol"]  # pytest finds its hooks here

_running = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pgbouncer`: how applications reach their databases."""
    parser.addoption("--pgbouncer", action="store_true", help="let every application go through a PgBouncer")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server and make the template once, before the workers are started."""
    if config.option.pgbouncer:
        # It asks the program, once, and no test is to be blamed for that process.
        pgbouncer.knows_prepared_statements()
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if config.option.pgbouncer and pgbouncer.PROGRAM is None:
        raise pytest.UsageError(f"--pgbouncer: {pgbouncer.NOT_INSTALLED}")
    with ExitStack() as stack:
        # The workers inherit it.
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        url = stack.enter_context(server.test_server())
        server.refuse_another_version(url)
        environment.setenv(server.SERVER_VARIABLE, url)
        if config.option.pgbouncer:
            environment.setenv(server.BOUNCER_VARIABLE, stack.enter_context(server.test_bouncer(url)))
        template = f"{server.PREFIX}template_{os.getpid()}"
        stack.callback(server.execute, url, f'DROP DATABASE IF EXISTS "{template}" WITH (FORCE)')
        server.create_template(url, template)
        environment.setenv(server.TEMPLATE_VARIABLE, template)
        config.stash[_running] = stack.pop_all()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep imported modules and collected tests out of garbage collection: they stay until the end."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --pgbouncer, deselect tests that use no database, and slow tests outside `tests/operations`."""
    if config.option.pgbouncer:
        kept = [item for item in items if _meets_pgbouncer(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _meets_pgbouncer(item: pytest.Item) -> bool:
    is_about_processes = item.get_closest_marker("slow") is None or "operations" in item.path.parts
    return "server_url" in getattr(item, "fixturenames", ()) and is_about_processes


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop the template and stop what was started."""
    if (running := config.stash.get(_running, None)) is not None:
        running.close()


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """One event loop for the whole session, of the kind that production uses."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def server_url() -> str:
    """The server of this run."""
    return os.environ[server.SERVER_VARIABLE]


@pytest.fixture(scope="session")
def database_url(server_url: str, worker_id: str) -> Iterator[str]:
    """A migrated database of this worker's own. At the end, every statement of the application that the tests have
    executed is read for what Citus refuses.
    """
    name = f"{server.PREFIX}{worker_id}_{os.getpid()}"
    with server.database_copy(server_url, name) as url, citus.recorded_statements() as statements:
        yield url
        citus.refuse_offences(url, statements)


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Development settings, with passwords hashed as cheaply as the algorithm allows."""
    return Settings(
        _env_file=None,
        env="development",
        argon2_time_cost=1,
        argon2_memory_cost=8,
        **server.way_to(database_url),
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started. One person's requests take no turns in it, so that they race."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        shares: CallerShares = app.state.services[CallerShares]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shares, "of", lambda _: CallerShares.of(shares, uuid7()))
            yield app


@pytest.fixture
async def database(app: FastAPI, settings: Settings) -> AsyncIterator[Database]:
    """The application's database; whatever the test leaves in it is deleted."""
    database: Database = app.state.services[Database]
    # While tests that are not asynchronous ran, nothing polled. Callers are cached again, and statements are as many as
    # tests expect, after the next poll.
    callers: CallerCache = app.state.services[CallerCache]
    while clock.elapsed() - callers.watching.last_success > settings.revocation_delay / 2:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    yield database
    await database.execute(text(emptied()))


def emptied(*, people: str = "true") -> str:
    """Return one statement that deletes all rows, of `users` only those that match `people`."""
    deletes = (
        f'DELETE FROM "{table.name}" WHERE {people if table is User.__table__ else True};'
        for table in reversed(Base.metadata.sorted_tables)
    )
    # Of archived projects as well.
    allowed = "PERFORM set_config('taller.changes_archived', 'on', true);"
    return f"DO $$ BEGIN {allowed} {' '.join(deletes)} END $$"


@pytest.fixture(scope="session")
def process(server_url: str) -> Iterator[Service]:
    """The service as a process of its own."""
    with running_service(server_url) as service:
        yield service


@pytest.fixture
def service(process: Service) -> Iterator[Service]:
    """That service, on a database in which only the seed's admin exists."""
    yield process
    server.execute(process.database_url, emptied(people="username <> 'admin'"))


@pytest.fixture
async def anonymous(app: FastAPI, database: Database) -> AsyncIterator[Api]:
    """The API, called by nobody in particular."""
    async with Api(app) as api:
        yield api


@pytest.fixture
async def user(database: Database) -> User:
    """A person."""
    user = UserFactory.build()
    await store(database, user)
    return user


@pytest.fixture
async def api(anonymous: Api, user: User) -> AsyncIterator[Api]:
    """The API, called by that person."""
    async with await anonymous.as_(user) as api:
        yield api
