"""SQL that is written with SQLAlchemy and compiled once.

Building and compiling a statement costs more than PostgreSQL needs to run it. So the hot ones are functions of what
changes their text (the kind of caller, the columns that are set), with `param` in the place of every value, and are
`compiled` once for each combination of these.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache, partial, wraps
from math import inf
from types import NoneType
from typing import Any, Final, ParamSpec, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    BindParameter,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Dialect,
    Executable,
    Select,
    TextClause,
    bindparam,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType, TypeEngine

from app.core.database.models import Base
from app.core.database.rows import FIRST_DAY, FIRST_MOMENT, refuse_other_columns

Column = ColumnElement[Any] | InstrumentedAttribute[Any]
"""A column, as Core or as a mapped class knows it."""

Rows = Select[*tuple[Any, ...]]
"""A statement that returns rows, whatever their columns."""

MAX_PREPARED = 400
"""Statements that stay compiled. A few dozen are common; clients can compose thousands."""

FEW = 5
"""Uses of a statement before it counts as common (see `Statement.is_rare`)."""


def number_of(value: Any) -> Any:
    """Return the number that a moment or a day is to PostgreSQL, and any other value as it is."""
    if isinstance(value, datetime):
        return value if value.tzinfo is None else (value - FIRST_MOMENT) // _MICROSECOND
    return value.toordinal() - FIRST_DAY if isinstance(value, date) else value


_DIALECT: Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call] # SQLAlchemy does not type it
_MICROSECOND = timedelta(microseconds=1)
_OPEN: Final = object()
_PREFIX = "new_"


def _processor(type_: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what makes of a value what the driver takes; None if that is the value itself."""
    if isinstance(type_, ARRAY):
        item = _processor(type_.item_type)
        return None if item is None else lambda values: list(map(item, values))
    if isinstance(type_, (Date, DateTime, NullType)):
        return number_of
    # The driver refuses whatever is no flag.
    return None if isinstance(type_, Boolean) else type_.dialect_impl(_DIALECT).bind_processor(_DIALECT)


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
    """SQL with numbered parameters, and the source of each parameter's value.

    `model`: the response model of its rows. Raises `AnswerError` if its columns do not match.
    """

    __slots__ = ("_parameters", "build", "model", "sql", "uses")

    def __init__(self, statement: Executable, model: type[BaseModel] | None = None) -> None:
        # SQLAlchemy's `Executable` does not say that it compiles, but every statement does.
        element: Any = statement
        # Written out: IN lists, whose length is part of the text. Literal SQL has none.
        options = {} if isinstance(element, TextClause) else {"render_postcompile": True}
        compiled = element.compile(dialect=_DIALECT, compile_kwargs=options)
        assert isinstance(compiled, SQLCompiler)
        if missing := [column.name for column in (*compiled.insert_prefetch, *compiled.update_prefetch)]:
            raise TypeError(f"give values for {', '.join(missing)}: Python-side defaults are not run here")
        if model is not None:
            refuse_other_columns(model, element.exported_columns)
        self.model = model
        self.sql = str(compiled)
        self.uses: float = inf
        self.build: Callable[[], Executable] | None = None
        """Builds it anew, for a statement that contains it; None if it is not `compiled`."""

        values = compiled.construct_params({name: _OPEN for name, bind in compiled.binds.items() if bind.required})
        self._parameters: list[tuple[str, Any, Callable[[Any], Any] | None]] = []
        """Each parameter's name, its value if it is constant, and what makes of a value what the driver takes."""

        for name in compiled.positiontup or ():
            # One element of an IN list, which is written out, has none.
            process = _processor(compiled.binds[name].type) if name in compiled.binds else None
            constant = values[name]
            if process is not None and constant is not _OPEN:
                constant = process(constant)
            self._parameters.append((name, constant, process))

    @property
    def is_rare(self) -> bool:
        """Whether it is used too seldom to stay prepared on every connection."""
        return self.uses <= FEW

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of their numbers. Raises `KeyError` for a missing one."""
        return [
            constant if constant is not _OPEN else parameters[name] if process is None else process(parameters[name])
            for name, constant, process in self._parameters
        ]


class StatementCache(dict[Hashable, Statement]):
    """A cache of compiled statements that evicts the least frequently used.

    It counts uses and ignores recency, so that a client who composes many statements evicts its own.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def compiled(self, build: Callable[..., Executable], *arguments: Hashable, **options: Hashable) -> Statement:
        """Return the compiled statement that `build` returns for these arguments."""
        key = (build, *arguments, *options.items()) if options else (build, *arguments)
        statement = self.get(key)
        if statement is None:
            statement = Statement(build(*arguments, **options), _MODELS.get(build))
            statement.uses = 0
            statement.build = partial(build, *arguments, **options)
            if len(self) >= self._size:
                self._shed()
            self[key] = statement
        statement.uses += 1
        return statement

    def _shed(self) -> None:
        """Evict the least used quarter, of equals the oldest, and subtract its highest count from all others, so that a
        statement that was common once does not stay for ever.
        """
        least = sorted(self, key=lambda key: self[key].uses)[: self._size // 4]
        dropped = self[least[-1]].uses
        for key in least:
            del self[key]
        for statement in self.values():
            statement.uses -= dropped


compiled_statements = StatementCache(MAX_PREPARED)
"""The cache of `compiled` functions."""

P = ParamSpec("P")


_MODELS: dict[Callable[..., Executable], type[BaseModel]] = {}
"""The response model of statements, by the function that builds them."""

SAMPLES: dict[Any, Any] = {Any: None, Hashable: None}
"""A sample of each type of argument of functions that build statements; the module that defines a type adds one."""


@overload
def compiled(build: Callable[P, Executable], *, model: type[BaseModel] | None = None) -> Callable[P, Statement]: ...
@overload
def compiled(*, model: type[BaseModel]) -> Callable[[Callable[P, Executable]], Callable[P, Statement]]: ...
def compiled(build: Any = None, *, model: type[BaseModel] | None = None) -> Any:
    """Make a function that builds a statement return it compiled: once for each combination of its arguments.

    `model`: the response model of the rows, which are then not validated one by one; the application does not start if
    the columns do not match. Without a model, the response is validated.
    """
    if build is None:
        return partial(compiled, model=model)
    if model is not None:
        _MODELS[build] = model

    @wraps(build)
    def statement(*arguments: Hashable, **options: Hashable) -> Statement:
        return compiled_statements.compiled(build, *arguments, **options)

    return statement


@cache
def check_answers() -> None:
    """Raise `AnswerError` if the columns of a statement do not match its response model."""
    for build, model in _MODELS.items():
        statement: Any = build(*(_sample(hint) for name, hint in get_type_hints(build).items() if name != "return"))
        refuse_other_columns(model, statement.exported_columns)


def _sample(hint: Any) -> Any:
    if NoneType in get_args(hint):
        return None
    return () if get_origin(hint) is tuple else SAMPLES[hint]
