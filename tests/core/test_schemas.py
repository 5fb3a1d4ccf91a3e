"""The types that every feature's schemas share."""

from datetime import date
from typing import Any

import pytest
from pydantic import StrictBool, TypeAdapter, ValidationError

from app.core.schemas import Int32, IsoDate, Moment, PatchModel, RequestModel, unset


class Sample(PatchModel):
    name: str = ""
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
        (-(2**31), []),
        (2**31 - 1, []),
        (2**31, ["less_than_equal"]),
        (-(2**31) - 1, ["greater_than_equal"]),
        (True, ["int_type"]),
        (1.0, []),
        (-0.0, []),
        (2147483647.0, []),
        (2147483648.0, ["less_than_equal"]),
        (-1e300, ["greater_than_equal"]),
        (1.5, ["int_type"]),
        (float("inf"), ["int_type"]),
        ("1", ["int_type"]),
    ],
)
def test_an_integer_is_one_and_fits(value: object, expected: list[str]) -> None:
    assert codes(Int32, value) == expected


@pytest.mark.parametrize("value", [0, 0.0, -0.0, 1e2, -2147483648.0])
def test_an_integer_is_one_however_it_is_written(value: float) -> None:
    found = TypeAdapter(Int32).validate_python(value)
    assert (type(found), found, str(found)) == (int, value, str(int(value)))


@pytest.mark.parametrize(("value", "expected"), [(True, []), (False, []), (1, ["bool_type"]), ("true", ["bool_type"])])
def test_a_flag_is_true_or_false(value: object, expected: list[str]) -> None:
    assert codes(StrictBool, value) == expected


@pytest.mark.parametrize("value", ["0001-01-01", "2028-02-29", "9999-12-31"])
def test_a_date_is_a_day_of_the_calendar(value: str) -> None:
    assert TypeAdapter(IsoDate).validate_python(value) == date.fromisoformat(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2027-02-29", "date_impossible"), ("2027-2-9", "date_format"), (0, "date_format"), (None, "date_format")],
)
def test_anything_else_is_no_date(value: object, expected: str) -> None:
    assert codes(IsoDate, value) == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T09:00:00Z", "2026-11-22T09:00:00+00:00"),
        ("2026-11-22t09:00:00.000001z", "2026-11-22T09:00:00.000001+00:00"),
        ("2026-11-22T09:00:00.5-01:30", "2026-11-22T10:30:00.500000+00:00"),
        # Clocks in Go and Java write nanoseconds.
        ("2026-11-22T09:00:00.123456789+01:00", "2026-11-22T08:00:00.123456+00:00"),
        ("2026-11-22T09:00:00." + "9" * 40 + "Z", "2026-11-22T09:00:00.999999+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
        # RFC 3339 knows leap seconds, and zones that lead beyond the calendar.
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31t15:59:60.25-08:00", "2017-01-01T00:00:00.250000+00:00"),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:00-23:59", "9999-12-31T23:59:59.999999+00:00"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_a_moment_is_read_as_rfc_3339_writes_it(value: str, expected: str) -> None:
    assert TypeAdapter(Moment).validate_python(value).isoformat() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_800_000_000, "datetime_format"),
        ("2026-11-22", "datetime_format"),
        ("2026-11-22T09:00:00", "datetime_format"),
        ("2026-11-22T09:00:00.Z", "datetime_format"),
        ("2026-02-30T09:00:00Z", "datetime_impossible"),
        ("2026-11-22T09:00:61Z", "datetime_impossible"),
        ("2026-11-22T09:00:00+24:00", "datetime_impossible"),
        ("0000-01-01T00:00:00Z", "datetime_impossible"),
    ],
)
def test_anything_else_is_no_moment(value: object, expected: str) -> None:
    assert codes(Moment, value) == [expected]


def test_changes_are_what_was_sent_and_null_is_a_value() -> None:
    assert Sample.model_validate({}).values() == {}
    assert Sample.model_validate({"size": None}).values() == {"size": None}
    assert Sample.model_validate({"name": ""}).values() == {"name": ""}
    assert unset() is None


def test_what_is_unknown_is_refused_by_every_input() -> None:
    assert codes(RequestModel, {"more": 1}) == ["extra_forbidden"]
