"""Statements that are compiled once."""

import pytest
from sqlalchemy import Integer, Text, Uuid, insert, select, text

from app.auth.models import User
from app.core.database import ConstraintError, Database
from app.core.ids import uuid7
from app.core.statements import Rows, Statement, given, given_columns, prefixed, prepared
from app.projects.models import Project


def one_project(_: object) -> Rows:
    return select(Project.name).where(Project.id == given("project_id", Uuid), Project.name.in_(["a", "b"]))


def test_a_shape_is_built_once() -> None:
    assert prepared(one_project, None) is prepared(one_project, None)
    assert prepared(one_project, None) is not prepared(one_project, 1)


def test_values_stand_in_the_order_of_their_numbers() -> None:
    statement = prepared(one_project, None)
    project_id = uuid7()
    assert statement.arguments({"project_id": project_id, "more": 1}) == [project_id, "a", "b"]
    assert "$1" in statement.sql
    assert "$3" in statement.sql


def test_a_value_that_is_not_given_is_an_error_and_not_a_null() -> None:
    with pytest.raises(KeyError, match="project_id"):
        prepared(one_project, None).arguments({})
    with pytest.raises(KeyError, match="x"):
        Statement(text("SELECT :x")).arguments({})


def test_a_default_that_nobody_would_run_is_an_error_and_not_a_null() -> None:
    with pytest.raises(TypeError, match="give values for id"):
        Statement(insert(Project).values(name="Workshop"))


async def test_null_is_a_value(database: Database) -> None:
    statement = Statement(select(given("x", Text).label("x"), given("y", Integer).label("y")))
    assert await database.row(statement, {"x": None, "y": 7}) == {"x": None, "y": 7}


async def test_a_violated_constraint_is_known_by_its_name(database: Database) -> None:
    values = {"id": uuid7(), "username": "Ada", "hashed_password": "x"}
    statement = Statement(insert(User).values(given_columns(User, values)))
    await database.rows(statement, prefixed(values))
    with pytest.raises(ConstraintError) as refused:
        await database.rows(statement, prefixed(values | {"id": uuid7(), "username": "ADA"}))
    assert refused.value.constraint == "users_username_lower_key"
