"""SQL that is written with SQLAlchemy and compiled once.

Building and compiling a statement costs more than PostgreSQL needs to run it. So the hot ones are functions of what
changes their text (the kind of caller, the columns that are set), with `param` in the place of every value, and are
`compiled` once for each combination of these.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Date, Dialect, Executable, Select, TextClause, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from app.core.database.models import Base

Column = ColumnElement[Any] | InstrumentedAttribute[Any]
"""A column, as Core or as a mapped class knows it."""

Rows = Select[*tuple[Any, ...]]
"""A statement that returns rows, whatever their columns."""

MAX_PREPARED = 400
"""Statements that stay compiled. A few dozen are common; clients can compose thousands."""

FEW = 5
"""Uses of a statement before it counts as common (see `Statement.is_rare`)."""


class _WrittenDate(Date):
    """Sends dates as text: asyncpg would store the first and the last date of Python as infinity."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002 # ty: ignore[incompatible-method-override]
        """Return a function from a date to its text."""
        return lambda day: None if day is None else day.isoformat()


class _Compiler(PGCompiler_asyncpg):
    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        if isinstance(getattr(dbapi_type, "item_type", dbapi_type), Date):
            array = "[]" if isinstance(dbapi_type, ARRAY) else ""
            return f"{sqltext}::TEXT{array}::DATE{array}"
        cast: str = super().render_bind_cast(type_, dbapi_type, sqltext)  # type: ignore[no-untyped-call]
        return cast


class _Dialect(PGDialect_asyncpg):
    statement_compiler = _Compiler
    colspecs = {**PGDialect_asyncpg.colspecs, Date: _WrittenDate}  # noqa: RUF012 - as SQLAlchemy's own
    supports_statement_cache = True


_DIALECT: Dialect = _Dialect()  # type: ignore[no-untyped-call] # SQLAlchemy does not type it
_OPEN: Final = object()
_PREFIX = "new_"


def param(name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]]) -> BindParameter[Any]:
    """Return a bind parameter, whose value is passed when the statement runs."""
    return bindparam(name, _OPEN, type_)


def inline(value: Any) -> BindParameter[Any]:
    """Return a constant value, or a list for IN, that becomes part of the statement's text."""
    return bindparam(None, value, expanding=isinstance(value, list), literal_execute=True)


def column_params(model: type[Base], names: Iterable[str]) -> dict[str, BindParameter[Any]]:
    """Return bind parameters for the values of these columns in a written row (see `as_params`)."""
    columns = model.__table__.c
    return {name: param(_PREFIX + name, columns[name].type) for name in names}


def as_params(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for `column_params`. SQLAlchemy reserves the columns' own names."""
    return {_PREFIX + name: value for name, value in values.items()}


class Statement:
    """SQL with numbered parameters, and the source of each parameter's value."""

    __slots__ = ("_parameters", "sql", "uses")

    def __init__(self, statement: Executable) -> None:
        # SQLAlchemy's `Executable` does not say that it compiles, but every statement does.
        element: Any = statement
        # Written out: IN lists, whose length is part of the text. Literal SQL has none.
        options = {} if isinstance(element, TextClause) else {"render_postcompile": True}
        compiled = element.compile(dialect=_DIALECT, compile_kwargs=options)
        assert isinstance(compiled, SQLCompiler)
        if missing := [column.name for column in (*compiled.insert_prefetch, *compiled.update_prefetch)]:
            raise TypeError(f"give values for {', '.join(missing)}: Python-side defaults are not run here")
        self.sql = str(compiled)
        self.uses: int | None = None
        values = compiled.construct_params({name: _OPEN for name, bind in compiled.binds.items() if bind.required})
        self._parameters = [
            (name, values[name], compiled.binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT))
            if name in compiled.binds
            # One element of an IN list, which is written out.
            else (name, values[name], None)
            for name in compiled.positiontup or ()
        ]

    @property
    def is_rare(self) -> bool:
        """Whether it is used too seldom to stay prepared on every connection."""
        return self.uses is not None and self.uses <= FEW

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of their numbers. Raises `KeyError` for a missing one."""
        values = []
        for name, constant, process in self._parameters:
            value = parameters[name] if constant is _OPEN else constant
            values.append(value if process is None else process(value))
        return values


class StatementCache:
    """A cache of compiled statements that evicts the least frequently used.

    It counts uses and ignores recency, so that a client who composes many statements evicts its own.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[Hashable, Statement] = {}

    def get(self, build: Callable[..., Executable], *arguments: Hashable, **options: Hashable) -> Statement:
        """Return the compiled statement that `build` returns for these arguments."""
        key = (build, *arguments, *options.items()) if options else (build, *arguments)
        statement = self._kept.get(key)
        if statement is None:
            statement = Statement(build(*arguments, **options))
            statement.uses = 0
            if len(self._kept) >= self._size:
                self._shed()
            self._kept[key] = statement
        assert statement.uses is not None, "counted from the start"
        statement.uses += 1
        return statement

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Empty the cache."""
        self._kept.clear()

    def _shed(self) -> None:
        """Evict the least used quarter, of equals the oldest, and subtract its highest count from all others, so that a
        statement that was common once does not stay for ever.
        """
        by_uses = sorted(self._kept.items(), key=lambda item: item[1].uses or 0)
        forgotten = self._size // 4
        dropped = by_uses[forgotten - 1][1].uses or 0
        self._kept = dict(by_uses[forgotten:])
        for statement in self._kept.values():
            statement.uses = (statement.uses or 0) - dropped


compiled_statements = StatementCache(MAX_PREPARED)
"""The cache of `compiled` functions."""

P = ParamSpec("P")


def compiled(build: Callable[P, Executable]) -> Callable[P, Statement]:
    """Decorate a function that builds a statement, so that it is compiled once for each combination of arguments."""

    @wraps(build)
    def statement(*arguments: P.args, **options: P.kwargs) -> Statement:
        # ParamSpec cannot express that arguments are hashable; the cache fails if they are not.
        return compiled_statements.get(build, *arguments, **options)  # type: ignore[arg-type] # ty: ignore[invalid-argument-type]

    return statement
