"""The way to PostgreSQL: one statement at a time, or several in one transaction.

- `DatabaseDep` runs single statements. PostgreSQL makes each of them a transaction of its own, committed when the call
  returns and so before the response leaves; there are no BEGIN and COMMIT round trips to pay for.
- `SessionDep` is a unit of work for requests that need several statements: one transaction, committed after the handler
  and before the response. Nothing else in the application commits.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import Executable, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.core.config import Settings
from app.core.errors import AppError, StatementTimeoutError, UnavailableError

Rows = Select[*tuple[Any, ...]]
"""A statement that returns rows, whatever their columns."""

PASSING_CLASSES = ("08", "53", "57P")
"""SQLSTATE classes of an outage: connection lost, resources exhausted, server shutting down or starting up."""

PASSING_STATES = frozenset({"25006", "40001", "40P01", "55P03"})
"""SQLSTATEs that a later try may not meet: read-only standby, serialization failure, deadlock, lock timeout."""

STATEMENT_CANCELLED = "57014"


class Database:
    """A pool of connections to one PostgreSQL database. Connects on first use; heals by itself after an outage."""

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        address = url or settings.database_url
        if address is None:
            raise ValueError("no database address")
        self.engine: AsyncEngine = create_async_engine(
            address,
            isolation_level="AUTOCOMMIT",
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            # Below the usual idle limits of proxies and firewalls; a ping on each checkout would cost every request.
            pool_recycle=1800,
            pool_use_lifo=True,
            # Errors end up in the log: the statement may, what people sent may not.
            hide_parameters=True,
            connect_args={
                "timeout": settings.database_connect_timeout,
                "prepared_statement_cache_size": 500,
                "server_settings": {
                    "application_name": "taller",
                    # Our statements are short: compiling them costs more than it gains.
                    "jit": "off",
                    "statement_timeout": str(int(settings.statement_timeout * 1000)),
                    "idle_in_transaction_session_timeout": "30000",
                },
            },
        )
        self._sessions = async_sessionmaker(
            self.engine.execution_options(isolation_level="READ COMMITTED"), expire_on_commit=False
        )

    async def rows(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement as its own transaction; every row as a dict.

        Raises `UnavailableError` if the database cannot be reached, `StatementTimeoutError` if it took too long.
        """
        with outages_translated():
            async with self.engine.connect() as connection:
                result = await connection.execute(statement, parameters)
                if not result.returns_rows:
                    return []
                keys = tuple(result.keys())
                return [dict(zip(keys, row, strict=True)) for row in result]

    async def row(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Run one statement as its own transaction; its first row, or None."""
        rows = await self.rows(statement, parameters)
        return rows[0] if rows else None

    async def one(
        self, statement: Executable, *, otherwise: Callable[["Database"], Awaitable[AppError]]
    ) -> dict[str, Any]:
        """Run one statement that carries its own permission; its first row, or raise what `otherwise` finds."""
        row = await self.row(statement)
        if row is None:
            raise await otherwise(self)
        return row

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """A session whose work is committed at the end, or rolled back by any exception."""
        with outages_translated():
            async with self._sessions() as session, session.begin():
                yield session

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def get_database(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


async def _database(request: Request) -> Database:
    # `async`, because FastAPI would run a plain function in a thread, for 180 µs a request.
    return get_database(request)


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with get_database(request).transaction() as session:
        yield session


DatabaseDep = Annotated[Database, Depends(_database)]
"""For handlers whose work is one statement."""

SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""For handlers whose work is several statements. `scope="function"` commits before the response is sent, so that a
client never holds a 2xx for work that was not kept."""


@contextmanager
def outages_translated() -> Generator[None]:
    """Turn what passes by itself (an outage, a timeout, a deadlock) into a 503 that says so."""
    try:
        yield
    except (OSError, TimeoutError, PoolTimeoutError) as error:
        raise UnavailableError from error
    except asyncpg.PostgresError as error:
        # Raised bare while connecting, before SQLAlchemy wraps what its driver raises.
        raise _translated(getattr(error, "sqlstate", None), lost=False) or error from error
    except asyncpg.InterfaceError as error:
        raise UnavailableError from error
    except DBAPIError as error:
        raise _translated(sqlstate(error), lost=error.connection_invalidated) or error from error


def sqlstate(error: DBAPIError) -> str | None:
    """The five characters by which PostgreSQL names an error."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def constraint_name(error: DBAPIError) -> str | None:
    """The constraint that a statement violated, to be mapped to the error that names what stands in the way."""
    name: str | None = getattr(error.driver_exception, "constraint_name", None)
    return name


def _translated(state: str | None, *, lost: bool) -> UnavailableError | None:
    if state == STATEMENT_CANCELLED:
        return StatementTimeoutError()
    if lost or (state is not None and (state.startswith(PASSING_CLASSES) or state in PASSING_STATES)):
        return UnavailableError()
    return None
