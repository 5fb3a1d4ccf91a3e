"""Rows of results, as Python mappings and as JSON.

The driver returns timestamps and dates as numbers (`app.core.database.prepared`): code that reads one from a row gets a
`datetime` or a `date`, and JSON is written from the numbers. A row whose statement names a response model is not
validated again: its columns are checked against the model beforehand (docs/decisions/0033-rows-to-json.md).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache, partial
from itertools import groupby, repeat
from json.encoder import encode_basestring
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, overload
from uuid import UUID

import asyncpg
from asyncpg.pgproto import pgproto
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_json
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Integer,
    String,
    Uuid,
    cast,
    func,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.types import TypeEngine

from app.core.database.models import IdList
from app.core.schemas import AS_JSON, AS_TEXT

FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
"""From which PostgreSQL counts microseconds."""

FIRST_DAY = FIRST_MOMENT.toordinal()
"""From which PostgreSQL counts days, as `date` counts them."""

_MINUTES = [f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(1440)]
_SECONDS = [f"{second:02}." for second in range(60)]
_THOUSANDTHS = [f"{number:03}" for number in range(1000)]


class AnswerError(RuntimeError):
    """A statement's rows do not match its response model."""


@lru_cache(4096)
def day_text(number: int) -> str:
    """Return a date in ISO 8601, from PostgreSQL's number of it."""
    return date.fromordinal(FIRST_DAY + number).isoformat()


def moment_text(number: int) -> str:
    """Return a timestamp in RFC 3339 with six fractional digits, from PostgreSQL's number of it."""
    # What is left after the minutes is of one digit to Python, so that dividing it takes half as long.
    minute, rest = divmod(number, 60_000_000)
    return (
        f"{day_text(minute // 1440)}{_MINUTES[minute % 1440]}{_SECONDS[rest // 1_000_000]}"
        f"{_THOUSANDTHS[rest // 1000 % 1000]}{_THOUSANDTHS[rest % 1000]}Z"
    )


_READERS: dict[str, Callable[[int], Any]] = {
    "timestamptz": lambda number: FIRST_MOMENT + timedelta(microseconds=number),
    "date": lambda number: date.fromordinal(FIRST_DAY + number),
}
"""The conversion of a number to a Python value, by the server's type."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A column type: its names in SQLAlchemy and PostgreSQL, and how its values are written as JSON. `None` raises."""

    sql: type[TypeEngine[Any]]
    server: frozenset[str]
    text: Callable[[Any], str] | None
    """None for texts that are JSON as they are."""

    is_quoted: bool = False
    """Whether its JSON is a string in which nothing needs escaping."""

    in_sql: Callable[[ColumnElement[Any]], ColumnElement[Any]] = lambda column: column
    """The expression that PostgreSQL writes as the same JSON."""


class _Names(dict[object, str]):
    def __missing__(self, value: object) -> str:
        raise AnswerError("a value that the model does not know")


class _Integers(dict[int, str]):
    """The text of small integers, which takes three times as long to make as to look up."""

    def __missing__(self, value: int) -> str:
        return int.__repr__(value)


def _moment_in_sql(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.to_char(func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')


_TEXTS = frozenset({"text", "varchar"})
_KINDS: dict[type, _Kind] = {
    UUID: _Kind(Uuid, frozenset({"uuid"}), pgproto.UUID.__str__, is_quoted=True),
    str: _Kind(String, _TEXTS, encode_basestring),
    int: _Kind(Integer, frozenset({"int2", "int4", "int8"}), _Integers({n: str(n) for n in range(100)}).__getitem__),
    bool: _Kind(Boolean, frozenset({"bool"}), _Names({True: "true", False: "false"}).__getitem__),
    datetime: _Kind(DateTime, frozenset({"timestamptz"}), moment_text, is_quoted=True, in_sql=_moment_in_sql),
    date: _Kind(Date, frozenset({"date"}), day_text, is_quoted=True),
}
_JSON = _Kind(IdList, _TEXTS, None, in_sql=lambda column: cast(column, JSON))
"""Columns that store JSON as it is sent."""


_ESCAPED = '\n"\\' + "".join(map(chr, range(32)))
"""The characters that JSON escapes, the most frequent ones first."""


def _texts(values: Sequence[Any], *, is_nullable: bool) -> Sequence[str]:
    """Return the JSON of each text; the texts themselves if none is null or has to be escaped."""
    has_nulls = is_nullable and None in values
    # Raises `TypeError` for a null where there may be none.
    joined = "".join(filter(None, values) if has_nulls else values)
    if any(map(joined.__contains__, _ESCAPED)):
        # pydantic-core takes a third of what `encode_basestring` takes for long ones; it indents each on a line of its
        # own, and no text has a line break in JSON.
        return to_json(values, indent=1)[3:-2].decode().split(",\n ")
    return ["null" if value is None else f'"{value}"' for value in values] if has_nulls else values


def _moments(values: Sequence[int], known: Sequence[int], written: list[str]) -> list[str]:
    """Return the text of each moment. `known`, `written`: others of the same rows, if there are some, and their texts:
    a row that was never changed has one moment twice.
    """
    if not known:
        return list(map(moment_text, values))
    return [text if value == other else moment_text(value) for value, other, text in zip(values, known, written)]  # noqa: B905


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a JSON object."""

    name: str
    kind: _Kind
    is_nullable: bool

    def column_writer(self) -> Callable[[Sequence[Any]], Iterable[str]]:
        """Return what returns the JSON of each value, without its quotation marks if there is a `quote`."""
        if self.kind is _KINDS[str]:
            return partial(_texts, is_nullable=self.is_nullable)
        if self.kind.text is None:
            return iter
        write = self.kind.text
        if not self.is_nullable:
            return partial(map, write)
        if self.kind.is_quoted:
            return lambda values: ["null" if value is None else f'"{write(value)}"' for value in values]
        return lambda values: ["null" if value is None else write(value) for value in values]

    def writer(self) -> Callable[[Any], str]:
        """Return what returns the same of one value: for single rows, of which columns would be made at twice the
        price.
        """
        # Looking up a number pays where most of them are small.
        write = int.__repr__ if self.kind.sql is Integer else self.kind.text or str.__str__
        if not self.is_nullable:
            return write
        if self.kind.is_quoted:
            return lambda value: "null" if value is None else f'"{write(value)}"'
        return lambda value: "null" if value is None else write(value)

    @property
    def quote(self) -> str:
        """The quotation mark on both sides of the text."""
        return '"' if self.kind.is_quoted and not self.is_nullable else ""


@cache
def _members(model: type[BaseModel]) -> tuple[_Member, ...]:
    """Return the members of a model. Raises `AnswerError` for a type or a constraint that is not checked here."""
    if model.model_computed_fields:
        raise AnswerError(f"{model.__name__} computes fields, and rows are answered as they are")
    return tuple(_member(f"{model.__name__}.{name}", name, field) for name, field in model.model_fields.items())


def _member(place: str, name: str, field: FieldInfo) -> _Member:
    if AS_JSON in field.metadata:
        return _Member(name, _JSON, is_nullable=False)
    kinds, promises = _kinds_of(field.annotation)
    promises += [promise for promise in field.metadata if promise is not AS_TEXT]
    named = [kind for kind in kinds if kind is not NoneType]
    if promises or len(named) != 1 or field.alias is not None or field.exclude or field.exclude_if is not None:
        raise AnswerError(
            f"{place} promises more than a type: no value of a row is looked at, so leave that to a CHECK constraint "
            "of the table, or the statement without a model"
        )
    kind = named[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        # Each value is looked up, so that an unknown one raises instead of being sent.
        names = _Names({value.value: encode_basestring(value.value) for value in kind})
        return _Member(name, _Kind(String, _TEXTS, names.__getitem__), NoneType in kinds)
    if kind not in _KINDS:
        raise AnswerError(f"{place} is of a type that rows are not answered in: leave the statement without a model")
    return _Member(name, _KINDS[kind], NoneType in kinds)


def _kinds_of(annotation: Any) -> tuple[list[Any], list[Any]]:
    """Return the types and the further constraints in an annotation."""
    if get_origin(annotation) is Annotated:
        kinds, promises = _kinds_of(annotation.__origin__)
        return kinds, promises + [extra for extra in annotation.__metadata__ if extra is not AS_TEXT]
    if get_origin(annotation) not in {Union, UnionType}:
        return [annotation], []
    parts = [_kinds_of(part) for part in get_args(annotation)]
    return [kind for kinds, _ in parts for kind in kinds], [promise for _, extra in parts for promise in extra]


def refuse_other_columns(model: type[BaseModel], columns: ReadOnlyColumnCollection[str, Any]) -> None:
    """Raise `AnswerError` if a statement's columns, as SQLAlchemy knows them, do not match a model."""
    for member in _members(model):
        place = f"{model.__name__}.{member.name}"
        column = columns.get(member.name)
        if column is None:
            raise AnswerError(f"{place} is not selected: add the column, or take the member out of the model")
        if not isinstance(column.type, member.kind.sql):
            raise AnswerError(f"{place} is selected as {column.type!r}")
        # SQLAlchemy does not know it of expressions; a null in one raises when it is written.
        if getattr(column, "nullable", False) and not member.is_nullable:
            raise AnswerError(f"{place} is never null, and its column may be")


def json_members(model: type[BaseModel], row: FromClause) -> list[ColumnElement[Any]]:
    """Return the members of a row's JSON in SQL: `row_to_json` of a subquery of them is what `Row.to_json` returns."""
    return [member.kind.in_sql(row.c[member.name]).label(member.name) for member in _members(model)]


class Columns:
    """The columns of a prepared statement, and how they are written as JSON of its model, if it has one.

    Raises `AnswerError` if the server's types do not match the model.
    """

    __slots__ = ("_end", "_identity", "_readers", "_writers", "model", "names")

    def __init__(self, attributes: Sequence["asyncpg.Attribute"], model: type[BaseModel] | None) -> None:
        self.model = model
        self.names = tuple(attribute.name for attribute in attributes)
        types = {attribute.name: attribute.type.name for attribute in attributes}
        self._readers = {name: _READERS[type_] for name, type_ in types.items() if type_ in _READERS}
        members = () if model is None else _members(model)
        for member in members:
            if types.get(member.name) not in member.kind.server:
                raise AnswerError(f"{member.name} of {model} is {types.get(member.name)} to the server")
        tells = {member.name for member in members} >= {"id", "etag"} and types["id"] == "uuid"
        self._identity = (self.names.index("id"), self.names.index("etag")) if tells else None
        """The columns that tell a row and its state from all others, if there are such."""

        self._writers: list[tuple[str, int, Callable[[Any], str], Callable[[Sequence[Any]], Iterable[str]]]] = []
        """What precedes each member's value, the value's column, its writer, and the writer of the whole column."""

        before = "{"
        for member in members:
            quote = member.quote
            before = f'{before}"{member.name}":{quote}'
            self._writers.append((before, self.names.index(member.name), member.writer(), member.column_writer()))
            before = f"{quote},"
        self._end = f"{before[:-1]}}}"

    def read(self, name: str, value: Any) -> Any:
        """Return a column's value as a Python object."""
        reader = self._readers.get(name)
        return value if reader is None or value is None else reader(value)

    def objects(self, records: Sequence["asyncpg.Record"]) -> list[str]:
        """Return each record as a JSON object. Raises `AnswerError` for a null or another value that the model does not
        know.
        """
        if not records:
            return []
        columns = list(zip(*records))  # noqa: B905 - records of one statement are equally long
        pieces: list[Iterable[str]] = [repeat("", len(records))]
        before = ""
        known: Sequence[int] = ()
        written: list[str] = []
        try:
            for name, index, write, write_all in self._writers:
                before += name
                values = columns[index]
                if values[0] == values[-1] and values.count(values[0]) == len(values):
                    # Half of a page's columns hold one value: it is written once, with what surrounds it.
                    before += write(values[0])
                    continue
                texts: Iterable[str]
                if write is moment_text:
                    texts = written = _moments(values, known, written)
                    known = values
                else:
                    texts = write_all(values)
                quote = '"' if texts is values else ""
                pieces += (repeat(before + quote), texts)
                before = quote
            return list(map("".join, zip(*pieces, repeat(before + self._end))))
        except TypeError as error:
            raise self._unexpected() from error

    def states(self, records: Sequence["asyncpg.Record"]) -> bytes | None:
        """Return the ids and tags of records, which are not the same for other rows or other states of these; None if
        they have none.
        """
        if self._identity is None:
            return None
        id_, tag = self._identity
        ids = b"".join([record[id_].bytes for record in records])
        # Their number comes first, and tags are in quotation marks: so it tells where each part ends.
        return b"%d,%b%b" % (len(records), ids, "".join([record[tag] for record in records]).encode())

    def object(self, record: "asyncpg.Record") -> str:
        """Return one record as a JSON object, as `objects` does."""
        pieces: list[str] = []
        try:
            for before, index, write, _ in self._writers:
                pieces += (before, write(record[index]))
        except TypeError as error:
            raise self._unexpected() from error
        return "".join(pieces) + self._end

    def _unexpected(self) -> AnswerError:
        return AnswerError(f"a null, or a value of another type, where {self.model} has none")


class Row(Mapping[str, Any]):
    """A row as a read-only mapping by column name, so that the checked values are the ones that are sent."""

    __slots__ = ("_columns", "_record")

    def __init__(self, columns: Columns, record: "asyncpg.Record") -> None:
        self._columns = columns
        self._record = record

    @property
    def model(self) -> type[BaseModel] | None:
        """The response model of its statement."""
        return self._columns.model

    def __getitem__(self, name: str) -> Any:
        return self._columns.read(name, self._record[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment] # as that of a dict

    def __repr__(self) -> str:
        return f"Row({dict(self)})"

    def to_json(self) -> str:
        """Return it as a JSON object of its response model."""
        return self._columns.object(self._record)


class Records(Sequence[Row]):
    """The rows that a statement returned."""

    __slots__ = ("_columns", "_records")

    def __init__(self, columns: Columns, records: Sequence["asyncpg.Record"]) -> None:
        self._columns = columns
        self._records = records

    @property
    def model(self) -> type[BaseModel] | None:
        """The response model of their statement."""
        return self._columns.model

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: int | slice) -> "Row | Records":
        if isinstance(index, slice):
            return Records(self._columns, self._records[index])
        return Row(self._columns, self._records[index])

    def __iter__(self) -> Iterator[Row]:
        columns = self._columns
        return (Row(columns, record) for record in self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # as that of a list

    def states(self) -> bytes | None:
        """Return what tells them and their states from all others (`Columns.states`)."""
        return self._columns.states(self._records)

    def to_json(self) -> str:
        """Return them as a JSON array of objects of their response model."""
        return f"[{','.join(self._columns.objects(self._records))}]"


def texts_of(rows: Iterable[Row], model: type[BaseModel]) -> Iterator[str]:
    """Yield the JSON of each row; rows of one statement that follow each other are written together. Raises
    `AnswerError` if their statement has another model.
    """
    for columns, group in groupby(rows, attrgetter("_columns")):
        if columns.model is not model:
            raise AnswerError(f"the statement's rows are {columns.model}, not {model.__name__}")
        yield from columns.objects([row._record for row in group])  # noqa: SLF001 - of this module
