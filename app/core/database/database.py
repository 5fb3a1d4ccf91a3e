"""Access to PostgreSQL: single statements, and transactions of several statements.

- `DatabaseDep` runs single statements. PostgreSQL commits each of them as a transaction of its own before the call
  returns, and so before the response is sent, without round trips for BEGIN and COMMIT.
- `async with database.transaction() as transaction` runs several statements in one transaction. Nothing else in the
  application commits.

What PostgreSQL undoes to end a deadlock is repeated: a single statement here, a transaction by `repeated_if_undone`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Hashable, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, ParamSpec, Protocol, TypeVar

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import Executable

from app.core.addresses import address_of
from app.core.config import Settings
from app.core.database.connecting import connect
from app.core.database.pgbouncer import asyncpg_arguments, opening_of
from app.core.database.pool import CANNOT_CONNECT, ConnectionPool
from app.core.database.prepared import OUTDATED, PreparedConnection
from app.core.database.rows import Records, Row
from app.core.database.statements import Statement
from app.core.errors import AppError, ReadOnlyError, StatementTimeoutError, UnavailableError
from app.core.metrics import Counter, number_of
from app.core.request_state import state_of
from app.core.services import services_of
from app.core.waiting import Deadlines

if TYPE_CHECKING:
    from app.core.tracing import Tracing

T = TypeVar("T")
P = ParamSpec("P")

TRANSIENT = ("08", "53", "57P", "25P03", "25P04", "40001", "40P01", "55000", "55P03")
"""The beginnings of SQLSTATEs that may not occur again on a retry: connection lost, resources exhausted, server
shutting down or starting up, a transaction that idled or took too long (for example because the process was suspended),
serialization failure, deadlock, a server that is not in the required state, lock timeout."""

GENERIC_PLAN_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": "0",
}
"""Single statements use generic plans that read rows from an index, in its order. By default PostgreSQL would plan each
page again, which takes longer than reading the page. A generic plan must not scan the whole table, which the planner
might prefer if one project has most of the tasks, because it does not know how small a page is. It has no parallel
workers, because one statement is to take one processor."""

CUSTOM_PLAN_SETTINGS = {**GENERIC_PLAN_SETTINGS, "plan_cache_mode": "force_custom_plan", "enable_sort": "on"}
"""Most filters are planned for their values, which determine the best index. Sequential scans stay off, because most of
a table is not the caller's."""

GRACE = 2.0
"""Seconds beyond its timeout after which a statement is ended here, in case the server no longer responds."""

UNDONE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What PostgreSQL raises if it has undone a transaction because of others that ran at the same time. Nothing of it was
committed, so that it is repeated."""

MAX_TRIES = 5
"""How often it is executed in all. PostgreSQL looks for a deadlock after a second (`deadlock_timeout`)."""

_STATEMENTS = number_of(Counter("taller_database_statements", "Statements, without those that end a transaction."))


class ConstraintError(Exception):
    """A statement violated the database constraint with this name."""

    def __init__(self, constraint: str | None) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class refusing:  # noqa: N801 - a context manager, as those of `contextlib`
    """Raise the refusal that belongs to a constraint, by the constraint's name, where a statement violates it."""

    __slots__ = ("_refusals",)

    def __init__(self, refusals: Mapping[str, Callable[[], AppError]]) -> None:
        self._refusals = refusals

    def __enter__(self) -> None:
        """Nothing is to be done: a generator would take four times as long for each request."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ConstraintError) and (refusal := self._refusals.get(error.constraint or "")) is not None:
            raise refusal() from None


class RowScope(Protocol):
    """The rows that a caller may access: the condition that statements contain, and its bind parameters."""

    @property
    def permission(self) -> Hashable:
        """The part that determines the condition's SQL."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The condition's bind parameters."""

    async def refusal(self, database: "Database") -> AppError:
        """Why a statement with this condition found nothing."""


Query = Executable | Statement
Parameters = Mapping[str, Any]
NO_PARAMETERS: Parameters = MappingProxyType({})


class Database:
    """A client of one PostgreSQL database. It connects on first use, and reconnects after an outage."""

    _is_repeated: ClassVar[bool] = True
    """Whether a statement may be executed again by itself."""

    by_value: "Database"
    """The same database for statements that are planned for their values. It has fewer connections."""

    def __init__(
        self,
        settings: Settings,
        plan_settings: Mapping[str, str] = GENERIC_PLAN_SETTINGS,
        tracing: "Tracing | None" = None,
        *,
        failure: str = CANNOT_CONNECT,
        opened: Callable[[PreparedConnection], Awaitable[None]] | None = None,
    ) -> None:
        """`failure`: what is logged where it cannot be reached. `opened`: what is done first with a new connection."""
        assert settings.database_url is not None, "every command has looked"
        parameters = {
            # Our statements are short: JIT compilation costs more than it gains.
            "jit": "off",
            "statement_timeout": str(int(settings.statement_timeout * 1000)),
            "idle_in_transaction_session_timeout": "30000",
        }
        parameters |= plan_settings
        is_by_value = plan_settings is CUSTOM_PLAN_SETTINGS
        address = address_of(settings.database_url)
        deadlines: Deadlines[PreparedConnection] = Deadlines(
            settings.statement_timeout + GRACE, PreparedConnection.terminate
        )

        keeps = settings.pgbouncer_prepared_statements or not settings.pgbouncer

        async def open_connection() -> PreparedConnection:
            connection = await connect(
                address, connection_class=PreparedConnection, **asyncpg_arguments(settings, address, parameters)
            )
            assert isinstance(connection, PreparedConnection), "the class that was asked for"
            try:
                await connection.set_up(deadlines, keeps=keeps, tracing=tracing)
                if opened is not None:
                    await opened(connection)
            except BaseException:
                # PgBouncer would keep a server connection for it.
                connection.terminate()
                raise
            return connection

        self.pool = ConnectionPool(
            open_connection,
            size=settings.by_value_pool_size if is_by_value else settings.database_pool_size,
            queue=settings.database_pool_queue,
            acquire_timeout=settings.database_pool_timeout,
            failure=failure,
        )
        self._opening, self._opening_timeout = opening_of(settings, parameters), settings.database_pool_timeout
        """The SQL that begins a transaction, and the seconds that it may take."""

        self._sends_singly = not settings.pgbouncer
        """Whether a single statement is sent without a transaction; through PgBouncer, its settings need one."""

        if is_by_value:
            self.by_value = self
        else:
            self.by_value = Database(settings, CUSTOM_PLAN_SETTINGS, tracing, failure=failure, opened=opened)
            self.pool.others, self.by_value.pool.others = [self.by_value.pool], [self.pool]

    async def start(self) -> None:
        """Open all connections, so that no request waits for one. Raises `UnavailableError`."""
        await self.pool.warm_up()
        await self.by_value.pool.warm_up()

    async def fetch_all(self, statement: Query, parameters: Parameters = NO_PARAMETERS) -> Records:
        """Run one statement as its own transaction; every row.

        Raises `UnavailableError` if the database cannot be reached, `StatementTimeoutError` if it took too long.
        """
        if not isinstance(statement, Statement):
            statement = Statement(statement)
        arguments = statement.arguments(parameters)
        _STATEMENTS.inc()
        try:
            try:
                return await self._records(statement, arguments)
            except (asyncpg.ReadOnlySQLTransactionError, *UNDONE) as error:
                return await self._records_of_another_try(statement, arguments, error)
        except Exception as error:
            if (better := to_app_error(error)) is None:
                raise
            raise better from error

    async def _records(self, statement: Statement, arguments: list[Any]) -> Records:
        if not self._sends_singly:
            try:
                return await self._records_of_transaction(statement, arguments)
            except OUTDATED:
                # A migration has changed what it returns: PgBouncer goes on with what a server connection has prepared.
                return await self._records_of_transaction(statement, arguments, prepares_anew=True)
        pool = self.pool
        connection = pool.acquire_nowait() or await pool.acquire()
        try:
            records: Records = await connection.run(statement, arguments)
        except BaseException as error:
            pool.release_after(connection, error)
            raise
        pool.release(connection)
        return records

    async def _records_of_transaction(
        self, statement: Statement, arguments: list[Any], *, prepares_anew: bool = False
    ) -> Records:
        async with self.transaction() as transaction:
            return await transaction._records(statement, arguments, prepares_anew=prepares_anew)  # noqa: SLF001 - another of its own kind

    async def _records_of_another_try(
        self, statement: Statement, arguments: list[Any], error: asyncpg.PostgresError
    ) -> Records:
        """Repeat a statement that PostgreSQL has undone, or that a read-only server refused if there is a writable one.
        Raises the error if that fails each time, or if the statement is one of several.
        """
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # A transaction cannot continue on another server. The next one uses it.
            if await self.pool.renewed() and self._is_repeated:
                return await self._records(statement, arguments)
            raise error
        for _ in range(1, MAX_TRIES if self._is_repeated else 1):
            try:
                return await self._records(statement, arguments)
            except UNDONE as again:
                error = again
        raise error

    async def fetch_one_or_none(self, statement: Query, parameters: Parameters = NO_PARAMETERS) -> Row | None:
        """Run one statement as its own transaction; its first row, or None."""
        rows = await self.fetch_all(statement, parameters)
        return rows[0] if rows else None

    async def fetch_one(self, statement: Query, scope: RowScope, parameters: Parameters = NO_PARAMETERS) -> Row:
        """Run one statement that carries a scope's permission; its first row. Where there is none, raise the scope's
        refusal. `parameters` are what the statement needs besides the scope's own.
        """
        rows = await self.fetch_all(statement, {**scope.parameters, **parameters} if parameters else scope.parameters)
        if not rows:
            raise await scope.refusal(self)
        return rows[0]

    async def execute(self, statement: Query, parameters: Parameters = NO_PARAMETERS) -> None:
        """Run one statement as its own transaction, whatever it returns."""
        await self.fetch_all(statement, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Transaction"]:
        """Return this database for several statements: `async with database.transaction() as transaction`.

        They are committed together when the block ends, and any exception rolls all of them back. Inside a transaction,
        another one is a savepoint.
        """
        transaction = await self._begun()
        try:
            try:
                yield transaction
            except Exception:
                if not transaction.is_broken:
                    await transaction.command("ROLLBACK")
                raise
            await transaction.command("COMMIT")
        finally:
            transaction.release()

    async def _begun(self) -> "Transaction":
        """Return a transaction that has begun, on a writable server if there is one.

        If an idle connection turns out to be lost, the transaction begins on another one.
        """
        is_last = False
        while True:
            connection = self.pool.acquire_nowait() or await self.pool.acquire()
            transaction = Transaction(self, connection)
            try:
                with translating_errors():
                    await transaction.open(self._opening, timeout=self._opening_timeout)
            except BaseException as error:
                transaction.release()
                if is_last or not (isinstance(error, UnavailableError) and transaction.is_lost):
                    raise
            else:
                if is_last or not transaction.is_read_only:
                    return transaction
                # Reads may run on a standby, so a read-only server is used if there is no other.
                if not await self.pool.renewed():
                    return transaction
                transaction.release()
            is_last = True

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator["Database"]:
        """Yield this database for statements that may fail without aborting a transaction.

        Outside a transaction, a failed statement rolls back only itself, so this does nothing.
        """
        yield self

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()
        await self.by_value.pool.close()


class Transaction(Database):
    """The database within one transaction (`Database.transaction`), in which statements run one after the other. If one
    is undone, so are those before it (see `repeated_if_undone`).
    """

    _is_repeated = False

    def __init__(self, database: Database, connection: PreparedConnection) -> None:
        self.pool, self._sends_singly = database.pool, database._sends_singly  # noqa: SLF001 - another of its own kind
        self._connection = connection
        # The whole transaction is planned by value or not at all.
        self.by_value = self
        self.is_broken = False
        """Whether the connection's state is unknown, for example after a cancellation."""

        self.is_lost = False
        """Whether the connection was lost before the transaction began."""

    @property
    def is_read_only(self) -> bool:
        """Whether PostgreSQL has reported that the server is read-only. PgBouncer does not pass that on."""
        told = self._connection.get_settings()
        return "on" in (getattr(told, "default_transaction_read_only", ""), getattr(told, "in_hot_standby", ""))

    async def open(self, sql: str, *, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's own
        """Begin the transaction."""
        try:
            await self._connection.execute(sql, timeout=timeout)
        except BaseException as error:
            self.is_broken = not isinstance(error, asyncpg.PostgresError)
            self.is_lost = isinstance(error, Exception) and not isinstance(error, TimeoutError)
            # Through PgBouncer, a timeout may mean that no server connection is free, which is not an outage.
            if self.is_lost or self._sends_singly:
                self.pool.note_error(self._connection, error)
            raise

    def release(self) -> None:
        """Return the connection to the pool."""
        connection = self._connection
        # After a cancellation it may still be in the transaction, which PostgreSQL rolls back when it is closed.
        is_clean = not (self.is_broken or connection.is_closed() or connection.is_in_transaction())
        if is_clean:
            self.pool.release(connection)
        else:
            self.pool.discard(connection)

    async def command(self, sql: str) -> None:
        """Execute a transaction command such as COMMIT or SAVEPOINT."""
        with translating_errors(), self._connection.limited():
            done = await self._whole(self._connection.execute(sql))
        if sql == "COMMIT" and done != "COMMIT":
            # After a failed statement, PostgreSQL answers COMMIT with ROLLBACK and without an error.
            raise RuntimeError("the error of a statement was caught inside its transaction, which is undone by it")

    async def _records(self, statement: Statement, arguments: list[Any], *, prepares_anew: bool = False) -> Records:
        return await self._whole(self._connection.run(statement, arguments, prepares_anew=prepares_anew))

    async def _whole(self, answer: Awaitable[T]) -> T:
        """Return PostgreSQL's answer or raise its error. After any other exception the connection is broken."""
        try:
            return await answer
        except BaseException as error:
            self.is_broken |= not isinstance(error, asyncpg.PostgresError)
            self.pool.note_error(self._connection, error)
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Transaction"]:
        """Yield a savepoint of this transaction."""
        await self.command("SAVEPOINT nested")
        try:
            yield self
        except Exception:
            if not self.is_broken:
                await self.command("ROLLBACK TO SAVEPOINT nested; RELEASE SAVEPOINT nested")
            raise
        await self.command("RELEASE SAVEPOINT nested")

    savepoint = transaction


def repeated_if_undone(unit: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Decorate a function that changes nothing but by one transaction: it is called again if PostgreSQL has undone the
    transaction because of others that ran at the same time.

    Called within another transaction it is not, because that one is repeated.
    """

    @wraps(unit)
    async def repeated(*arguments: P.args, **named: P.kwargs) -> T:
        is_part = any(isinstance(argument, Transaction) for argument in arguments)
        for _ in range(1, 1 if is_part else MAX_TRIES):
            try:
                return await unit(*arguments, **named)
            except UnavailableError as error:
                if not isinstance(error.__cause__, UNDONE):
                    raise
        return await unit(*arguments, **named)

    return repeated


def get_database(request: Request) -> Database:
    """Return the application's database, or the one that stands for it in this request (`database_of`)."""
    database = state_of(request.scope).database
    if isinstance(database, Database):
        return database
    return services_of(request)[Database]


@contextmanager
def database_of(request: Request, database: Database) -> Generator[None]:
    """Have `DatabaseDep` and `get_database` return this database for the request meanwhile."""
    state = state_of(request.scope)
    state.database = database
    try:
        yield
    finally:
        state.database = None


@asynccontextmanager
async def transaction_of(request: Request) -> AsyncGenerator[Transaction]:
    """Yield a transaction that `DatabaseDep` and `get_database` return for this request meanwhile."""
    async with get_database(request).transaction() as transaction:
        with database_of(request, transaction):
            yield transaction


async def _database(request: Request) -> Database:
    # `async`, because FastAPI would run a plain function in a thread, for 180 µs a request.
    return get_database(request)


DatabaseDep = Annotated[Database, Depends(_database)]
"""The database, for handlers. Statements and transactions are committed before the response is sent, so that a client
never gets a 2xx for a change that was not committed."""


@contextmanager
def translating_errors() -> Generator[None]:
    """Translate transient database errors (an outage, a timeout, a deadlock) into errors with status 503."""
    try:
        yield
    except Exception as error:
        if (better := to_app_error(error)) is None:
            raise
        raise better from error


def to_app_error(error: Exception) -> Exception | None:
    """Return the exception to raise instead of a database error; None if it is to propagate."""
    match error:
        case OSError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return UnavailableError()
        case asyncpg.IntegrityConstraintViolationError():
            constraint = getattr(error, "constraint_name", None)
            refusal = AppError.by_constraint.get(constraint or "")
            return ConstraintError(constraint) if refusal is None else refusal()
        case asyncpg.QueryCanceledError():
            return StatementTimeoutError()
        case asyncpg.ReadOnlySQLTransactionError():
            return ReadOnlyError()
        case asyncpg.PostgresError() if (getattr(error, "sqlstate", None) or "").startswith(TRANSIENT):
            return UnavailableError()
    return None
