"""Rows are answered as they are: what is wrong with them is found at the start, when PostgreSQL tells its types, or
where they are written.
"""

import json
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import to_json
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Text,
    cast,
    func,
    literal,
    null,
    select,
    text,
    union_all,
)
from sqlalchemy import Uuid as SqlUuid

from app.core.database import statements
from app.core.database.database import Database
from app.core.database.rows import FIRST_DAY, AnswerError, day_text, json_members, moment_text, refuse_other_columns
from app.core.database.statements import SAMPLES, Rows, Statement, compiled, number_of
from app.core.http.fast_path import with_fractions
from app.core.ids import uuid7
from app.core.schemas import Uuid
from app.main import create_app
from app.projects.models import Project
from app.tasks.models import Task
from tests.projects.factories import project_of
from tests.support.client import Api


class Colour(StrEnum):
    RED = "red"
    BLUE = 'bl"ue'


class Sample(BaseModel):
    id: Uuid
    other_id: Uuid | None
    text: str
    note: str | None
    number: int
    flag: bool
    made_at: datetime
    changed_at: datetime
    day: date | None
    colour: Colour | None


TYPES: dict[str, Any] = {
    "id": SqlUuid(),
    "other_id": SqlUuid(),
    "text": Text(),
    "note": Text(),
    "number": Integer(),
    "flag": Boolean(),
    "made_at": DateTime(timezone=True),
    "changed_at": DateTime(timezone=True),
    "day": Date(),
    "colour": Text(),
}
LATER = datetime(2026, 11, 23, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "id": uuid7(),
    "other_id": None,
    "text": 'a "b" \\ \b\f\n\r\t \x01 \x1f \x7f \u2028 é 😀 </script>',
    "note": "_at",
    "number": -(2**31),
    "flag": False,
    "made_at": datetime(2026, 11, 22, 9, 0, 0, 120, tzinfo=UTC),
    "changed_at": datetime(2026, 11, 22, 9, 0, 0, 120, tzinfo=UTC),
    "day": date.max,
    "colour": 'bl"ue',
}


def columns(values: dict[str, Any], types: dict[str, Any] = TYPES) -> list[ColumnElement[Any]]:
    return [
        cast(null() if values[name] is None else literal(values[name], type_), type_).label(name)
        for name, type_ in types.items()
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"other_id": uuid7(), "note": None, "day": None, "colour": None, "flag": True},
        {"made_at": datetime.min.replace(tzinfo=UTC), "day": date.min, "colour": "red", "number": 2**31 - 1},
        {"made_at": datetime.max.replace(tzinfo=UTC), "text": ""},
    ],
)
async def test_a_row_is_written_as_pydantic_would_write_it(database: Database, changes: dict[str, Any]) -> None:
    statement = Statement(select(*columns(VALUES | changes), literal(1).label("more")), Sample)
    rows = await database.fetch_all(statement)
    validated = TypeAdapter(Sample).validate_python(dict(rows[0]))
    assert rows[0].to_json().encode() == with_fractions(to_json(validated))
    assert rows.to_json() == f"[{rows[0].to_json()}]"
    assert {**rows[0]} == VALUES | changes | {"more": 1}
    members = select(*json_members(Sample, select(*columns(VALUES | changes)).subquery("row"))).subquery("members")
    (written,) = await database.fetch_all(select(cast(func.row_to_json(members.table_valued()), Text).label("json")))
    assert written["json"] == rows[0].to_json(), "PostgreSQL writes the same"


@pytest.mark.parametrize(
    "pages",
    [
        [{}, {}, {}],
        [{}, {"text": "other", "note": None, "flag": True, "number": 2}, {}],
        [{"note": None, "day": None, "id": uuid7()}, {"other_id": uuid7(), "colour": None}],
        [{"text": "plain", "note": "é 😀"}, {"text": "", "note": ""}, {"text": "more", "note": None}],
        [
            {"made_at": LATER},
            {"changed_at": LATER},
            {"made_at": LATER, "changed_at": LATER},
            {"made_at": datetime.max.replace(tzinfo=UTC)},
        ],
    ],
    ids=["equal", "first and last equal", "different", "nothing to escape", "some changed"],
)
async def test_page_is_written_as_its_rows_are(database: Database, pages: list[dict[str, Any]]) -> None:
    first, *others = (select(*columns(VALUES | changes)) for changes in pages)
    rows = await database.fetch_all(Statement(first.union_all(*others), Sample))
    assert rows.to_json() == f"[{','.join(row.to_json() for row in rows)}]"
    assert [dict(row) for row in rows] == [VALUES | changes for changes in pages]


async def test_each_character_of_a_page_is_escaped(database: Database) -> None:
    for character in map(chr, range(1, 128)):
        texts = (select(*columns(VALUES | {"text": text, "note": text})) for text in (f"a{character}", f"{character}b"))
        rows = await database.fetch_all(Statement(union_all(*texts), Sample))
        assert [row["note"] for row in json.loads(rows.to_json())] == [f"a{character}", f"{character}b"]
        assert rows.to_json() == f"[{','.join(row.to_json() for row in rows)}]"


@given(st.datetimes(), st.dates())
def test_moments_and_days_have_one_form(moment: datetime, day: date) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert moment_text(number_of(aware)) == moment.isoformat(timespec="microseconds") + "Z"
    assert day_text(number_of(day)) == day.isoformat()
    assert number_of(aware) // 86_400_000_000 == aware.toordinal() - FIRST_DAY


@pytest.mark.parametrize("name", ["id", "text", "number", "flag", "made_at", "changed_at"])
async def test_null_that_the_model_forbids_is_not_answered(database: Database, name: str) -> None:
    good, bad = select(*columns(VALUES)), select(*columns(VALUES | {name: None}))
    rows = await database.fetch_all(Statement(good.union_all(bad), Sample))
    assert rows[0].to_json()
    with pytest.raises(AnswerError):
        rows[1].to_json()
    with pytest.raises(AnswerError):
        rows.to_json()


async def test_value_that_the_model_forbids_is_not_answered(database: Database) -> None:
    rows = await database.fetch_all(Statement(select(*columns(VALUES | {"colour": "green"})), Sample))
    for answered in (rows, rows[0]):
        with pytest.raises(AnswerError, match="a value that the model does not know"):
            answered.to_json()


@pytest.mark.parametrize(
    ("name", "type_"), [("id", Text()), ("text", Integer()), ("number", Text()), ("made_at", Date()), ("day", Text())]
)
async def test_wrong_column_type_is_found_when_compiled_and_when_prepared(
    database: Database, name: str, type_: Any
) -> None:
    selected = columns(VALUES | {name: None}, TYPES | {name: type_})
    with pytest.raises(AnswerError, match=rf"Sample\.{name} is selected as"):
        Statement(select(*selected), Sample)
    # What the statement claims is not what the server has, as where a migration has changed a column.
    statement = Statement(select(*columns(VALUES)), Sample)
    statement.sql = Statement(select(*selected)).sql
    with pytest.raises(AnswerError, match=name):
        await database.fetch_all(statement, {})


def test_missing_or_nullable_column_is_found_when_compiled() -> None:
    with pytest.raises(AnswerError, match=r"Sample\.colour is not selected"):
        Statement(select(*columns(VALUES)[:-1]), Sample)

    class Described(BaseModel):
        description: str

    with pytest.raises(AnswerError, match=r"Described\.description is never null"):
        refuse_other_columns(Described, select(Task.description).exported_columns)


class _Bounded(BaseModel):
    title: Annotated[str, Field(max_length=3)]


class _BoundedWithin(BaseModel):
    title: Annotated[str, Field(pattern="x")] | None


class _Listed(BaseModel):
    title: list[str]


@pytest.mark.parametrize("model", [_Bounded, _BoundedWithin, _Listed])
def test_what_no_row_is_looked_at_for_cannot_be_promised(model: type[BaseModel]) -> None:
    with pytest.raises(AnswerError, match=rf"{model.__name__}\.title"):
        refuse_other_columns(model, select(Task.title).exported_columns)


def test_application_with_a_statement_unlike_its_model_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statements, "_MODELS", {})
    statements.check_answers.cache_clear()

    class Named(BaseModel):
        name: str

    @compiled(model=Named)
    def _wrong(_: int, names: tuple[str, ...], shape: str | None) -> Rows:
        return select(Project.id)

    monkeypatch.setitem(SAMPLES, int, 1)
    with pytest.raises(AnswerError, match=r"Named\.name is not selected"):
        create_app()


def test_lists_and_entities_of_projects_are_answered_from_rows(app: FastAPI) -> None:
    """What is read most must not fall back to validation unseen."""
    assert {"TaskRead", "ProjectRead", "MemberRead"} <= {model.__name__ for model in statements._MODELS.values()}  # noqa: SLF001 - what is declared


async def test_what_a_migration_changes_under_a_prepared_statement_is_seen(database: Database) -> None:
    statement = Statement(text("SELECT * FROM moving"))
    await database.execute(text("CREATE TABLE moving AS SELECT 1 AS a"))
    try:
        for _ in range(20):
            assert await database.fetch_all(statement) == [{"a": 1}]
        await database.execute(text("ALTER TABLE moving ADD b timestamptz DEFAULT '2000-01-01 00:00:01Z'"))
        for _ in range(20):
            (row,) = await database.fetch_all(statement)
            assert row == {"a": 1, "b": datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)}
    finally:
        await database.execute(text("DROP TABLE moving"))


async def test_page_from_rows_equals_the_validated_page(api: Api, user: Any, database: Database) -> None:
    project = await project_of(database, user)
    answer = await api.get(f"/projects/{project.id}/tasks/")
    assert answer.text == json.dumps(answer.json(), separators=(",", ":"))
    assert list(answer.json()) == ["items", "total", "page", "size", "pages", "next_cursor"]
