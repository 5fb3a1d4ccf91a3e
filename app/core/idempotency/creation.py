"""Creating a row and storing the response under the request's key, in one statement."""

from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import BaseModel
from sqlalchemy import Executable, Text, cast, func, insert, select
from sqlalchemy.dialects.postgresql import array

from app.core.bounded import BoundedDict
from app.core.database.database import NO_PARAMETERS, Database, Parameters, Query
from app.core.database.rows import Records, json_members
from app.core.database.statements import Statement, inline, param
from app.core.idempotency.store import IdempotencyKey, IdempotentRequest

MAX_STATEMENTS = 100
"""Statements of an operation that stay compiled."""

_PREFIX = "request_"
"""Of the names of parameters, which are apart from those of the statement that creates the row."""


class OtherwiseError(Exception):
    """The request needs another statement than the one that creates a row."""


class Creation:
    """An operation that creates a row and answers with it: how the response follows from the row."""

    def __init__(self, model: type[BaseModel], status: int, headers: Mapping[str, tuple[str, str | None]]) -> None:
        """`headers`: the beginning of each value, and the member of the row that follows it, if one does."""
        self.model = model
        self._status, self._headers = status, headers
        self._statements: BoundedDict[str, Statement] = BoundedDict(MAX_STATEMENTS)

    def storing(self, statement: Statement) -> Statement:
        """Return a statement that does the same and stores the response."""
        storing = self._statements.get(statement.sql)
        if storing is None:
            assert statement.build is not None, "it has a model, so it is compiled"
            storing = Statement(self._built(statement.build()), self.model)
            self._statements.put(statement.sql, storing)
        return storing

    def _built(self, create: Any) -> Executable:
        row = create.cte("created")
        # What PostgreSQL makes of these members is what `Row.to_json` returns.
        shown = select(*json_members(self.model, row)).subquery("shown")
        body = func.convert_to(cast(func.row_to_json(shown.table_valued()), Text), "UTF8")
        headers = array(
            [
                array([inline(name), inline(begin).concat(cast(shown.c[member], Text)) if member else inline(begin)])
                for name, (begin, member) in self._headers.items()
            ]
        )
        columns = IdempotencyKey.__table__.c
        request = {name: param(_PREFIX + name, columns[name].type) for name in IdempotentRequest._fields}
        response = {"status": inline(self._status), "headers": headers, "body": body}
        stored = insert(IdempotencyKey).from_select(
            [*request, *response],
            select(*request.values(), *response.values()).select_from(shown),
            include_defaults=False,
        )
        return select(row).add_cte(stored.cte("stored"))


class CreatingDatabase(Database):
    """A database that executes one statement, which creates the row of an operation and stores the response."""

    def __init__(self, database: Database, request: IdempotentRequest, creation: Creation) -> None:
        self._database, self._request, self._creation = database, request, creation
        self.by_value = self
        self.has_stored = False

    async def fetch_all(self, statement: Query, parameters: Parameters = NO_PARAMETERS) -> Records:
        """Execute the statement that creates the row, or raise `OtherwiseError`."""
        if self.has_stored:
            raise RuntimeError("the response is stored: an operation with `location` does nothing after its statement")
        if not isinstance(statement, Statement) or statement.model is not self._creation.model:
            raise OtherwiseError
        values = {_PREFIX + name: value for name, value in self._request._asdict().items()}
        storing = self._creation.storing(statement)
        rows = await self._database.fetch_all(storing, {**parameters, **values})
        self.has_stored = bool(rows)
        return rows

    def transaction(self) -> NoReturn:
        """Raise `OtherwiseError`."""
        raise OtherwiseError
