"""The types that every feature's schemas share."""

from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.core.schemas import Changes, Flag, Input, Int32, IsoDate, Storable, Visible, left_out


class Sample(Changes):
    name: Annotated[str, Storable] = ""
    size: Int32 | None = None


def codes(type_: Any, value: object) -> list[str]:
    try:
        TypeAdapter(type_).validate_python(value)
    except ValidationError as error:
        return [item["type"] for item in error.errors()]
    return []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("x\t\n", []),
        ("\U0001f6e0", []),
        ("\ufeff\uffff", []),
        ("\0", ["nul_character"]),
        ("\ud83d", ["string_unicode"]),
    ],
)
def test_text_is_what_postgresql_can_store(value: str, expected: list[str]) -> None:
    assert codes(Annotated[str, Storable], value) == expected


@pytest.mark.parametrize(("value", "expected"), [("x", []), (" x ", []), (" \t\u00a0", ["blank"]), ("", ["blank"])])
def test_a_line_shows_something(value: str, expected: list[str]) -> None:
    assert codes(Annotated[str, Visible], value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-(2**31), []),
        (2**31 - 1, []),
        (2**31, ["less_than_equal"]),
        (-(2**31) - 1, ["greater_than_equal"]),
        (True, ["int_type"]),
        (1.0, ["int_type"]),
        ("1", ["int_type"]),
    ],
)
def test_an_integer_is_one_and_fits(value: object, expected: list[str]) -> None:
    assert codes(Int32, value) == expected


@pytest.mark.parametrize(("value", "expected"), [(True, []), (False, []), (1, ["bool_type"]), ("true", ["bool_type"])])
def test_a_flag_is_true_or_false(value: object, expected: list[str]) -> None:
    assert codes(Flag, value) == expected


@pytest.mark.parametrize("value", ["0001-01-01", "2028-02-29", "9999-12-31"])
def test_a_date_is_a_day_of_the_calendar(value: str) -> None:
    assert TypeAdapter(IsoDate).validate_python(value) == date.fromisoformat(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2027-02-29", "date_impossible"), ("2027-2-9", "date_format"), (0, "date_format"), (None, "date_format")],
)
def test_anything_else_is_no_date(value: object, expected: str) -> None:
    assert codes(IsoDate, value) == [expected]


def test_changes_are_what_was_sent_and_null_is_a_value() -> None:
    assert Sample.model_validate({}).values() == {}
    assert Sample.model_validate({"size": None}).values() == {"size": None}
    assert Sample.model_validate({"name": ""}).values() == {"name": ""}
    assert left_out() is None


def test_what_is_unknown_is_refused_by_every_input() -> None:
    assert codes(Input, {"more": 1}) == ["extra_forbidden"]
