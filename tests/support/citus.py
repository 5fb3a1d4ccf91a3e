"""Statements that Citus refuses on the tables of a distributed schema, found without Citus.

PostgreSQL itself reads each statement: `debug_print_parse` sends what it understood, with every function resolved. The
rules are those of Citus' router (`multi_router_planner.c` of 14.0), and what crashed one of its backends.
"""

import asyncio
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from app.core.database.statements import Statement
from tests.support.server import plain_url

SCHEMA = "team_a"
"""The schema in which statements are tried. One that names another schema does not find its table."""

_PREPARED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES")

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[(){}\[\]]|(?:\\.|[^\s(){}\[\]\\])+')
_CLOSING = {"(": ")", "[": "]"}

_UPDATE, _INSERT, _DELETE = "2", "3", "4"
"""`CmdType` of PostgreSQL."""

_VALUES = "5"
"""`RTEKind` of PostgreSQL."""

_TABLES = re.compile(r":rtekind 0 :relid (\d+)")
_SUSPICIOUS = re.compile(rf":varattno -1 |:rtekind {_VALUES} |:commandType [{_UPDATE}{_INSERT}{_DELETE}] ")

_FUNCTIONS = ("funcid", "opfuncid", "aggfnoid", "winfnoid")
_TYPES = ("vartype", "paramtype", "funcresulttype", "opresulttype", "consttype", "resulttype")


class Node(dict[str, list[Any]]):
    """A node of a query tree: its kind, and its fields."""

    kind: str


def parsed(text: str) -> Node:
    """Return the tree that PostgreSQL wrote as text."""
    tokens = iter(_TOKENS.findall(text))

    def value(token: str) -> Any:
        if token in _CLOSING:
            return [value(inner) for inner in iter(tokens.__next__, _CLOSING[token])]
        if token != "{":
            return token
        node = Node()
        node.kind = next(tokens)
        field: list[Any] = []
        for inner in iter(tokens.__next__, "}"):
            if inner.startswith(":"):
                field = node[inner[1:]] = []
            else:
                field.append(value(inner))
        return node

    tree = value(next(tokens))
    assert isinstance(tree, Node)
    return tree


def nodes(tree: Any, *, into_queries: bool = True) -> Iterator[Node]:
    """Yield every node of a tree, from the top."""
    if isinstance(tree, Node):
        yield tree
        if into_queries or tree.kind != "QUERY":
            for field in tree.values():
                yield from nodes(field, into_queries=into_queries)
    elif isinstance(tree, list):
        for part in tree:
            yield from nodes(part, into_queries=into_queries)


class Reader:
    """Reads statements by a PostgreSQL."""

    def __init__(self, connection: "asyncpg.Connection") -> None:
        self._connection = connection
        self._told: list[Any] = []
        self._volatility: dict[str, str] = {}
        self._conversions: dict[str, list[str]] = {}
        self._foreign: set[str] = set()

    async def start(self) -> None:
        """Have the connection tell what it understands, and read what functions promise."""
        fetch = self._connection.fetch
        self._volatility = {str(row[0]): row[1].decode() for row in await fetch("SELECT oid, provolatile FROM pg_proc")}
        self._conversions = {
            str(row[0]): [str(row[1]), str(row[2])]
            for row in await fetch("SELECT oid, typinput::oid, typoutput::oid FROM pg_type")
        }
        self._foreign = {
            str(row[0])
            for row in await fetch("SELECT oid FROM pg_class WHERE relnamespace <> current_schema()::regnamespace")
        }
        self._connection.add_log_listener(lambda _, message: self._told.append(message))
        await self._connection.execute(
            "SET client_min_messages = log; SET debug_print_parse = on; SET debug_pretty_print = off"
        )

    async def offences(self, sql: str) -> list[str]:
        """Return what Citus refuses in a statement, or cannot execute."""
        self._told.clear()
        try:
            await self._connection.execute(f"PREPARE tried AS {sql}")
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
            return [f"names a table of another schema: {error}"]
        await self._connection.execute("DEALLOCATE tried")
        # Messages are handed over by the event loop.
        await asyncio.sleep(0)
        # The command PREPARE, what it prepares, and the command DEALLOCATE.
        _, tree, _ = (" ".join(message.detail.split()) for message in self._told)
        tables = set(_TABLES.findall(tree))
        offences = set()
        if tables & self._foreign and tables - self._foreign:
            offences.add("reads tables of another schema, or catalogs, together with its own")
        # Reading the whole tree takes some milliseconds.
        if _SUSPICIOUS.search(tree):
            offences |= set(self._found(parsed(tree)))
        return sorted(offences)

    def _found(self, tree: Node) -> Iterator[str]:
        if any(node.kind == "VAR" and node["varattno"] == ["-1"] for node in nodes(tree)):
            yield "uses places of rows (ctid)"
        for node in nodes(tree):
            if node.get("rtekind") == [_VALUES]:
                rows = node["values_lists"][0]
                if len(rows) > 1 and any(part.kind == "PARAM" for part in nodes(rows)):
                    yield "has several rows of VALUES with parameters"
            if node.kind == "QUERY" and node["commandType"][0] in {_UPDATE, _INSERT, _DELETE}:
                yield from self._found_in_change(node)

    def _found_in_change(self, query: Node) -> Iterator[str]:
        is_update = query["commandType"] == [_UPDATE]
        jointree = query["jointree"][0]
        where = jointree["quals"] if isinstance(jointree, Node) else []
        values = query["targetList"] if is_update else []
        if self._calls(where, "v") or self._calls(values, "v"):
            yield "calls a VOLATILE function in SET or WHERE"
        for node in nodes([values, where], into_queries=False):
            if node.kind in {"CASEEXPR", "CASE", "COALESCEEXPR", "COALESCE"}:
                if self._calls(node, "sv"):
                    yield "calls a function that is not IMMUTABLE in a CASE or COALESCE of SET or WHERE"
            elif self._promises(node, "s") and any(
                part.kind == "VAR" for part in nodes(list(node.values()), into_queries=False)
            ):
                yield "calls a STABLE function with a column in SET or WHERE"
        if self._calls(query["returningList"], "sv"):
            yield "calls a function that is not IMMUTABLE in RETURNING"
        for conflict in query["onConflict"]:
            if isinstance(conflict, Node) and self._calls(list(conflict.values()), "sv"):
                yield "calls a function that is not IMMUTABLE in ON CONFLICT"

    def _calls(self, tree: Any, kinds: str) -> bool:
        return any(self._promises(node, kinds) for node in nodes(tree))

    def _promises(self, node: Node, kinds: str) -> bool:
        """Return whether a node calls a function of these kinds: `s` STABLE, `v` VOLATILE."""
        if node.kind == "SQLVALUEFUNCTION":
            return "s" in kinds
        called = [node[name][0] for name in _FUNCTIONS if name in node]
        if node.kind == "COERCEVIAIO":
            called.append(self._conversions[node["resulttype"][0]][0])
            arguments = [part for part in node["arg"] if isinstance(part, Node)]
            sources = [part[name][0] for part in arguments for name in _TYPES if name in part]
            called += [self._conversions[source][1] for source in sources]
        return any(self._volatility.get(function, "i") in kinds for function in called)


async def offences_of(url: str, statements: Iterable[str]) -> dict[str, list[str]]:
    """Return the statements that offend, each with what Citus refuses in it. Renames the schema of the database."""
    connection = await asyncpg.connect(plain_url(url))
    try:
        await connection.execute(f"ALTER SCHEMA public RENAME TO {SCHEMA}; SET search_path = {SCHEMA}")
        reader = Reader(connection)
        await reader.start()
        # Parts of statements and commands such as LOCK cannot be prepared.
        found = {sql: await reader.offences(sql) for sql in statements if sql.startswith(_PREPARED)}
        return {sql: offences for sql, offences in found.items() if offences}
    finally:
        await connection.close()


def refuse_offences(url: str, statements: Iterable[str]) -> None:
    """Raise `AssertionError` if Citus refuses one of the statements. Renames the schema of the database."""
    found = asyncio.run(offences_of(url, statements))
    assert not found, "\n\n".join(f"Citus refuses what {', '.join(why)}:\n{sql}" for sql, why in found.items())


@contextmanager
def recorded_statements() -> Generator[set[str]]:
    """Collect the SQL of each statement that a module of the application builds meanwhile."""
    found: set[str] = set()
    build = Statement.__init__

    def note(self: Statement, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        if _builder().startswith("app."):
            found.add(self.sql)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Statement, "__init__", note)
        yield found


def _builder() -> str:
    """Return the module that built a statement, by means of those of `app.core.database`."""
    frame = sys._getframe(2)  # noqa: SLF001 - there is no other way that is as quick
    while frame.f_globals["__name__"].startswith("app.core.database.") and frame.f_back is not None:
        frame = frame.f_back
    name: str = frame.f_globals["__name__"]
    return name
