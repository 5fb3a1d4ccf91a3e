"""Units: several statements of `DatabaseDep` as one transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import MAX_TRIES, ConstraintError, Database, repeated_if_undone
from app.core.errors import StatementTimeoutError, UnavailableError
from tests.support.queries import recorded_statements

CREATION = text("INSERT INTO projects (id, name) VALUES (gen_random_uuid(), :name) RETURNING name")
NAMES = text("SELECT name FROM projects ORDER BY name")
PID = text("SELECT pg_backend_pid() AS pid")


class OwnError(Exception):
    """What a test raises by itself."""


async def create(database: Database, name: str) -> None:
    await database.execute(CREATION.bindparams(name=name))


async def work(database: Database, *steps: str | Exception) -> None:
    """A transaction that creates a project of each name, runs what is SQL, and raises what is an exception."""
    async with database.transaction() as transaction:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            await (transaction.fetch_all(text(step)) if step.startswith("SELECT") else create(transaction, step))


async def names(database: Database) -> list[str]:
    return [row["name"] for row in await database.fetch_all(NAMES)]


@pytest.fixture
async def alone(settings: Settings, database: Database) -> AsyncIterator[Database]:
    """A database with a single connection."""
    alone = Database(settings.model_copy(update={"database_pool_size": 1}))
    yield alone
    await alone.close()


async def test_changes_are_visible_to_others_after_commit(database: Database) -> None:
    async with database.transaction() as transaction:
        await create(transaction, "a")
        await create(transaction, "b")
        assert await names(transaction) == ["a", "b"]
        assert await names(database) == []
    assert await names(database) == ["a", "b"]


@pytest.mark.parametrize(
    ("steps", "error"), [(("a", OwnError()), OwnError), (("a", ""), ConstraintError)], ids=["raised", "by PostgreSQL"]
)
async def test_exception_rolls_back_and_releases_the_connection(
    alone: Database, steps: tuple[str | Exception, ...], error: type[Exception]
) -> None:
    pid = await alone.fetch_one_or_none(PID)
    with pytest.raises(error):
        await work(alone, *steps)
    assert await names(alone) == []
    assert await alone.fetch_one_or_none(PID) == pid


async def test_a_part_is_undone_alone_when_its_exception_is_caught(database: Database) -> None:
    async with database.transaction() as transaction:
        await create(transaction, "a")
        with pytest.raises(ConstraintError):
            await work(transaction, "b", "")
        async with transaction.transaction() as part:
            await create(part, "c")
            with pytest.raises(OwnError):
                await work(part, "d", OwnError())
    assert await names(database) == ["a", "c"]


async def test_a_part_is_undone_with_the_whole(database: Database) -> None:
    async def whole() -> None:
        async with database.transaction() as transaction:
            await work(transaction, "a")
            raise OwnError

    with pytest.raises(OwnError):
        await whole()
    assert await names(database) == []


async def test_transaction_with_a_failed_statement_does_not_commit(database: Database) -> None:
    async def careless() -> None:
        async with database.transaction() as transaction:
            await create(transaction, "a")
            with pytest.raises(ConstraintError):
                await create(transaction, "")

    with pytest.raises(RuntimeError, match="undone"):
        await careless()
    assert await names(database) == []


@pytest.mark.parametrize("during", ["SELECT pg_sleep(10)", "SELECT 1"], ids=["in a statement", "between two"])
async def test_cancelled_transaction_rolls_back_and_replaces_its_connection(alone: Database, during: str) -> None:
    async def cut_off() -> None:
        async with alone.transaction() as transaction:
            await work(transaction, "a", during)
            await asyncio.sleep(10)

    pid = await alone.fetch_one_or_none(PID)
    task = asyncio.create_task(cut_off())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names(alone) == []
    assert await alone.fetch_one_or_none(PID) != pid


async def test_connection_lost_in_a_statement_is_an_outage(alone: Database) -> None:
    with pytest.raises(UnavailableError):
        await work(alone, "a", "SELECT pg_terminate_backend(pg_backend_pid())")
    assert await names(alone) == []


async def test_connection_lost_before_commit_is_an_outage(alone: Database, database: Database) -> None:
    async def lonely() -> None:
        async with alone.transaction() as transaction:
            await create(transaction, "a")
            row = await transaction.fetch_one_or_none(PID)
            assert row is not None
            await database.execute(text(f"SELECT pg_terminate_backend({row['pid']})"))
            await asyncio.sleep(0.1)

    with pytest.raises(UnavailableError):
        await lonely()
    assert await names(alone) == []


async def test_a_statement_that_takes_too_long_undoes_its_unit(settings: Settings, database: Database) -> None:
    hurried = Database(settings.model_copy(update={"statement_timeout": 0.1}))
    with pytest.raises(StatementTimeoutError):
        await work(hurried, "a", "SELECT pg_sleep(5)")
    await hurried.close()
    assert await names(database) == []


async def test_without_a_database_a_unit_is_unavailable() -> None:
    nowhere = Database(Settings(_env_file=None, database_url="postgresql://x@127.0.0.1:1/x"))
    with pytest.raises(UnavailableError):
        await work(nowhere, "a")
    await nowhere.close()


async def test_transaction_uses_one_connection_and_its_statements_are_recorded(database: Database) -> None:
    with recorded_statements(database) as seen:
        async with database.transaction() as transaction:
            pids = {row["pid"] for _ in range(3) for row in await transaction.fetch_all(PID)}
    assert len(pids) == 1
    assert seen == [PID.text] * 3


async def test_two_statements_at_once_are_refused_and_nothing_is_kept(alone: Database) -> None:
    async def impatient() -> None:
        async with alone.transaction() as transaction:
            await asyncio.gather(create(transaction, "a"), create(transaction, "b"))

    with pytest.raises(UnavailableError) as refused:
        await impatient()
    assert isinstance(refused.value.__cause__, asyncpg.InterfaceError)
    assert await names(alone) == []


@pytest.fixture
async def tries(database: Database) -> AsyncIterator[None]:
    """A sequence, which goes on whatever is undone."""
    await database.execute(text("CREATE SEQUENCE tries"))
    yield
    await database.execute(text("DROP SEQUENCE tries"))


async def fail(database: Database, error: str, times: int) -> None:
    """Create a project by a statement that PostgreSQL undoes so many times."""
    fails = f"IF nextval('tries') <= {times} THEN RAISE {error}; END IF;"
    await database.execute(
        text(f"DO $$ BEGIN INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'b'); {fails} END $$")
    )


@repeated_if_undone
async def unit(database: Database, error: str, times: int) -> None:
    async with database.transaction() as transaction:
        await create(transaction, "a")
        await fail(transaction, error, times)


@repeated_if_undone
async def unit_of_unit(database: Database, error: str, times: int) -> None:
    async with database.transaction() as transaction:
        await unit(transaction, error, times)


@pytest.mark.usefixtures("tries")
@pytest.mark.parametrize("error", ["deadlock_detected", "serialization_failure"])
@pytest.mark.parametrize("way", [fail, unit, unit_of_unit])
async def test_what_postgresql_undoes_is_repeated_but_not_for_ever(
    database: Database, way: Callable[[Database, str, int], Awaitable[None]], error: str
) -> None:
    with pytest.raises(UnavailableError):
        await way(database, error, MAX_TRIES)
    assert await names(database) == []
    await database.execute(text("ALTER SEQUENCE tries RESTART"))
    await way(database, error, MAX_TRIES - 1)
    assert await names(database) == (["b"] if way is fail else ["a", "b"])
