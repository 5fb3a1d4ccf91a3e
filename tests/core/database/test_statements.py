"""Statements that are compiled once."""

import inspect
import os
from itertools import permutations, product

import pytest
from sqlalchemy import Integer, Text, Uuid, insert, select, text

from app.auth.models import User
from app.core.database.database import ConstraintError, Database
from app.core.database.prepared import MAX_KEPT
from app.core.database.statements import (
    FEW,
    Rows,
    Statement,
    StatementCache,
    as_params,
    column_params,
    compiled,
    param,
)
from app.core.ids import uuid7
from app.projects.models import Project
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api


@compiled
def one_project(_: object) -> Rows:
    return select(Project.name).where(Project.id == param("project_id", Uuid), Project.name.in_(["a", "b"]))


def test_a_shape_is_built_once() -> None:
    assert one_project(None) is one_project(None)
    assert one_project(None) is not one_project(1)


def test_values_stand_in_the_order_of_their_numbers() -> None:
    statement = one_project(None)
    project_id = uuid7()
    assert statement.arguments({"project_id": project_id, "more": 1}) == [project_id, "a", "b"]
    assert "$1" in statement.sql
    assert "$3" in statement.sql


def test_missing_parameter_is_an_error_not_null() -> None:
    with pytest.raises(KeyError, match="project_id"):
        one_project(None).arguments({})
    with pytest.raises(KeyError, match="x"):
        Statement(text("SELECT :x")).arguments({})


def test_client_side_default_is_an_error_not_null() -> None:
    with pytest.raises(TypeError, match="give values for id"):
        Statement(insert(Project).values(name="Workshop"))


async def test_null_is_a_value(database: Database) -> None:
    statement = Statement(select(param("x", Text).label("x"), param("y", Integer).label("y")))
    assert await database.fetch_one_or_none(statement, {"x": None, "y": 7}) == {"x": None, "y": 7}


async def test_a_violated_constraint_is_known_by_its_name(database: Database) -> None:
    values = {"id": uuid7(), "username": "Ada", "hashed_password": "x"}
    statement = Statement(insert(User).values(column_params(User, values)))
    await database.execute(statement, as_params(values))
    with pytest.raises(ConstraintError) as refused:
        await database.execute(statement, as_params(values | {"id": uuid7(), "username": "ADA"}))
    assert refused.value.constraint == "users_username_lower_key"


def test_frequent_statements_stay_cached() -> None:
    kept = StatementCache(20)

    def asked_for(times: int, *numbers: int) -> list[Statement]:
        return [[kept.compiled(inspect.unwrap(one_project), number) for _ in range(times)][-1] for number in numbers]

    common = asked_for(300, *range(10))
    for number in range(100, 700):
        asked_for(2, number)
        assert len(kept) <= 20
    assert asked_for(1, *range(10)) == common
    newer = asked_for(300, 1_000)
    asked_for(1, *range(2_000, 2_100))
    assert asked_for(1, 1_000) == newer
    asked_for(1, *range(3_000, 5_000))
    assert asked_for(1, *range(10)) != common, "what is no longer asked for goes in the end"


async def test_many_rare_lists_leave_no_statement_and_evict_none(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    paths = (f"/projects/{project.id}/tasks/", "/projects/", f"/projects/{project.id}")
    for path in paths * (FEW + 2):
        assert (await api.get(path)).status_code == 200
    common = await statements_of(database)
    orders = [
        ",".join(sign + name for sign, name in zip(signs, names, strict=True))
        for names in permutations(("priority", "due_date", "created_at", "title", "completed"), 3)
        for signs in product(("", "-"), repeat=3)
    ]
    # More than a connection keeps.
    for order in orders[: MAX_KEPT // 2 + 5]:
        for filtered in ("", "&completed=true"):
            answer = await api.get(f"/projects/{project.id}/tasks/?sort={order}{filtered}")
            assert answer.status_code == 200
    left = await statements_of(database)
    # Through PgBouncer, others may have used the server connection.
    assert left >= common or os.environ.get(server.BOUNCER_VARIABLE)
    # Work in the background may have prepared others meanwhile.
    assert [statement for statement in left - common if "FROM tasks" in statement] == []


async def statements_of(database: Database) -> set[str]:
    """The statements that PostgreSQL keeps for all connections of the application."""
    taken = [database.pool.acquire_nowait() for _ in range(50)]
    connections = [connection for connection in taken if connection is not None]
    found = [await connection.fetch("SELECT statement FROM pg_prepared_statements") for connection in connections]
    for connection in reversed(connections):
        database.pool.release(connection)
    return {row["statement"] for rows in found for row in rows}
