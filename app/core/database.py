"""The way to PostgreSQL: one statement at a time, or several in one transaction.

- `DatabaseDep` runs single statements. PostgreSQL makes each of them a transaction of its own, committed when the call
  returns and so before the response leaves; there are no BEGIN and COMMIT round trips to pay for.
- `SessionDep` is a unit of work for requests that need several statements: one transaction, committed after the handler
  and before the response. Nothing else in the application commits.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Hashable, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Protocol

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import Executable
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.core.config import Settings
from app.core.connections import Connections
from app.core.errors import AppError, StatementTimeoutError, UnavailableError
from app.core.statements import Statement, prepared

PASSING_CLASSES = ("08", "53", "57P")
"""SQLSTATE classes of an outage: connection lost, resources exhausted, server shutting down or starting up."""

PASSING_STATES = frozenset({"25006", "40001", "40P01", "55P03"})
"""SQLSTATEs that a later try may not meet: read-only standby, serialization failure, deadlock, lock timeout."""

BY_INDEX = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_sort": "off"}
"""Every single statement finds its rows by an index and in its order, whatever the values. Left to choose, PostgreSQL
plans each page anew, which takes longer than the page; and a plan for any values must not be one that reads the whole
table, as it might be where one project has most of the tasks, because nothing tells the planner how small a page is."""

STATEMENT_CANCELLED = "57014"


class ConstraintError(Exception):
    """A statement violated a constraint of the database; its name tells what stands in the way."""

    def __init__(self, constraint: str | None) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Scope(Protocol):
    """What a caller may touch: the shape and the values of the condition that statements carry."""

    @property
    def permission(self) -> Hashable:
        """What decides the condition's text."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The condition's values."""

    async def refusal(self, database: "Database") -> AppError:
        """Why a statement with this condition found nothing."""


class Database:
    """The connections to one PostgreSQL database. Connects on first use; heals by itself after an outage."""

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise ValueError("no database address")
        server_settings = {
            "application_name": "taller",
            # Our statements are short: compiling them costs more than it gains.
            "jit": "off",
            "statement_timeout": str(int(settings.statement_timeout * 1000)),
            "idle_in_transaction_session_timeout": "30000",
        }
        url = make_url(settings.database_url)
        connect = partial(
            asyncpg.connect,
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            timeout=settings.database_connect_timeout,
            # The server ends long statements; this is for a server that has gone without a word.
            command_timeout=settings.statement_timeout + 2,
            statement_cache_size=500,
            server_settings={**server_settings, **BY_INDEX},
        )
        self.statements = Connections(
            connect, size=settings.database_pool_size, patience=settings.database_pool_timeout
        )
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=settings.database_transaction_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            pool_recycle=1800,
            pool_use_lifo=True,
            # Errors end up in the log: the statement may, what people sent may not.
            hide_parameters=True,
            connect_args={
                "timeout": settings.database_connect_timeout,
                "command_timeout": settings.statement_timeout + 2,
                "server_settings": server_settings,
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.observers: list[Callable[[str, list[Any]], None]] = []
        """Called with every statement and its parameters; for tests that count them or look at their plans."""

    async def start(self) -> None:
        """Open the connections, if the database is there."""
        with errors_translated():
            await self.statements.warm_up()

    async def rows(
        self, statement: Executable | Statement, parameters: Mapping[str, Any] = MappingProxyType({})
    ) -> list[dict[str, Any]]:
        """Run one statement as its own transaction; every row as a dict.

        Raises `UnavailableError` if the database cannot be reached, `StatementTimeoutError` if it took too long.
        """
        if not isinstance(statement, Statement):
            statement = Statement(statement)
        arguments = statement.arguments(parameters)
        for observe in self.observers:
            observe(statement.sql, arguments)
        try:
            connection = self.statements.take_idle() or await self.statements.take()
            try:
                records = await connection.fetch(statement.sql, *arguments)
            except asyncpg.PostgresError:
                self.statements.give_back(connection)
                raise
            except BaseException:
                # Cancelled, or cut off: nobody knows what is still under way on it.
                self.statements.discard(connection)
                raise
            self.statements.give_back(connection)
        except Exception as error:
            raise translated(error) or error from error
        return [dict(record) for record in records]

    async def row(
        self, statement: Executable | Statement, parameters: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Any] | None:
        """Run one statement as its own transaction; its first row, or None."""
        rows = await self.rows(statement, parameters)
        return rows[0] if rows else None

    async def one(
        self, query: Callable[..., Executable], scope: Scope, *shape: Hashable, **values: Any
    ) -> dict[str, Any]:
        """The row of a statement that carries a scope's permission; where there is none, raise the scope's refusal.

        `query` builds the statement from the scope's permission and `shape`, once for each; `values` are what it leaves
        open besides the scope's own.
        """
        rows = await self.rows(prepared(query, scope.permission, *shape), {**scope.parameters, **values})
        if not rows:
            raise await scope.refusal(self)
        return rows[0]

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """A session whose work is committed at the end, or rolled back by any exception."""
        with errors_translated():
            async with self._sessions() as session, session.begin():
                yield session

    async def close(self) -> None:
        """Close every connection."""
        await self.statements.close()
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
def errors_translated() -> Generator[None]:
    """Turn what passes by itself (an outage, a timeout, a deadlock) into a 503 that says so."""
    try:
        yield
    except Exception as error:
        raise translated(error) or error from error


def translated(error: Exception) -> Exception | None:
    """What to raise instead of this, if it passes by itself or is better known by another class."""
    match error:
        case OSError() | TimeoutError() | PoolTimeoutError() | asyncpg.InterfaceError():
            return UnavailableError()
        case asyncpg.IntegrityConstraintViolationError():
            return ConstraintError(getattr(error, "constraint_name", None))
        case asyncpg.PostgresError():
            return _by_state(getattr(error, "sqlstate", None))
        case DBAPIError() if error.connection_invalidated:
            return UnavailableError()
        case DBAPIError():
            driver = error.driver_exception
            return translated(driver) if driver is not error else None
    return None


def _by_state(state: str | None) -> UnavailableError | None:
    if state == STATEMENT_CANCELLED:
        return StatementTimeoutError()
    if state is not None and (state.startswith(PASSING_CLASSES) or state in PASSING_STATES):
        return UnavailableError()
    return None
