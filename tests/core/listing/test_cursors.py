"""Cursors: what was issued is read again, and nothing else is."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Boolean, Date, DateTime, Integer, Text, Uuid, column

from app.core.config import Settings
from app.core.listing.cursors import MAX_CURSOR_LENGTH, CursorMismatchError, Cursors
from app.core.listing.sorting import Key, Keys, Order, Sort
from app.core.signing import KeyRing

SECRET = "a secret for these tests only, 0123456789"
RING = KeyRing(Settings(_env_file=None, jwt_secret=SECRET))
KEYS: Keys = {
    "title": Key(column("title", Text)),
    "priority": Key(column("priority", Integer)),
    "completed": Key(column("completed", Boolean)),
    "due_date": Key(column("due_date", Date), is_nullable=True),
    "created_at": Key(column("created_at", DateTime(timezone=True))),
    "id": Key(column("id", Uuid)),
}
ORDER: Order = tuple(Sort(name) for name in KEYS)
VALUES: list[Any] = [
    "Säge “A”",
    -7,
    True,
    date(2026, 11, 24),
    datetime(2026, 11, 24, 9, 0, 0, 123456, UTC),
    UUID("01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a12"),
]


CONTEXT: dict[str, Any] = {
    "operation": "list_tasks",
    "parameters": {"caller_id": VALUES[-1], "project_id": None},
    "order": ORDER,
    "conditions": {"completed": True},
}


def cursors(ring: KeyRing = RING, **context: Any) -> Cursors:
    return Cursors(ring, KEYS, **CONTEXT | context)


def issued(values: list[Any]) -> str:
    return cursors().encode(dict(zip(KEYS, values, strict=True)))


def test_what_was_issued_is_read_with_its_values() -> None:
    for values in (VALUES, [*VALUES[:3], None, *VALUES[4:]]):
        for is_backwards in (False, True):
            cursor = cursors().encode(dict(zip(KEYS, values, strict=True)), is_backwards=is_backwards)
            position = cursors().decode(cursor)
            assert (position.values, position.is_backwards) == (values, is_backwards)


def test_the_longest_titles_fit() -> None:
    for character in ("\U0001f527", '"', "\\", "\x01", "\u2028"):
        assert len(issued([character * 500, *VALUES[1:]])) <= MAX_CURSOR_LENGTH


@given(st.text(max_size=200))
def test_what_was_not_issued_is_refused(text: str) -> None:
    with pytest.raises(CursorMismatchError):
        cursors().decode(text)


def test_a_change_of_one_character_is_refused() -> None:
    cursor = issued(VALUES)
    for place in range(0, len(cursor), 3):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        with pytest.raises(CursorMismatchError):
            cursors().decode(changed)


@pytest.mark.parametrize(
    "other",
    [
        {"operation": "list_labels"},
        {"parameters": {"caller_id": VALUES[-1], "project_id": VALUES[-1]}},
        {"order": (*ORDER[:-1], Sort("id", is_descending=True))},
        {"conditions": {"completed": False}},
        {"conditions": {"created_at_gte": VALUES[4]}},
    ],
)
def test_it_belongs_to_the_question_for_which_it_was_issued(other: dict[str, Any]) -> None:
    cursor = issued(VALUES)
    with pytest.raises(CursorMismatchError):
        cursors(**other).decode(cursor)


def test_it_outlives_the_secret_as_long_as_that_is_kept() -> None:
    cursor = issued(VALUES)
    newer = "another secret for these tests only, 9876543210"
    rotated = KeyRing(Settings(_env_file=None, jwt_secret=newer, jwt_previous_secrets=(SECRET,)))
    assert cursors(rotated).decode(cursor).values == VALUES
    with pytest.raises(CursorMismatchError):
        cursors(KeyRing(Settings(_env_file=None, jwt_secret=newer))).decode(cursor)
