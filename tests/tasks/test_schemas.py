"""What the members of a task may be, for all that write one. Values are decided by the schemas alone."""

import pytest
from pydantic import BaseModel

from app.tasks.schemas import TaskChanges, TaskCreate, TaskUpdate
from tests.support.bad_requests import errors_in
from tests.support.samples import MARKER, in_short

BAD = {
    "title": [
        ('""', "string_too_short"),
        ('" \\u3000 "', "blank"),
        (f'"{MARKER}{"x" * 500}"', "string_too_long"),
        (f'"{MARKER}\\u0000"', "nul_character"),
        (f'"{MARKER}\\udfff"', "string_unicode"),
        ('"\\u200b"', "blank"),
        ('"\\u00ad\\ufe0f\\u0301"', "blank"),
        (f'"{MARKER}\\n"', "control_character"),
        (f'"\\u0085{MARKER}"', "control_character"),
        (f'"{MARKER}\\u202e"', "control_character"),
        (f'"{MARKER}{"a" + chr(0x316) * 31}"', "too_many_marks"),
        ("null", "string_type"),
        ("1", "string_type"),
        (f'["{MARKER}"]', "string_type"),
    ],
    "description": [
        (f'"{MARKER}{"x" * 10_000}"', "string_too_long"),
        (f'"\\u0000{MARKER}"', "nul_character"),
        (f'"\\u001b[31m{MARKER}"', "control_character"),
        (f'"\\ud800{MARKER}"', "string_unicode"),
        ("1", "string_type"),
    ],
    "priority": [
        ("true", "int_type"),
        ("1.5", "int_type"),
        ("1e400", "int_type"),
        ("2147483647.5", "int_type"),
        ("1e10", "less_than_equal"),
        ("-1e308", "greater_than_equal"),
        (f'"{MARKER}"', "int_type"),
        ('"1"', "int_type"),
        ("null", "int_type"),
        ("[1]", "int_type"),
        ("2147483648", "less_than_equal"),
        ("-2147483649", "greater_than_equal"),
        ("9" * 4000, "less_than_equal"),
    ],
    "completed": [
        ("1", "bool_type"),
        ("0.0", "bool_type"),
        ('"true"', "bool_type"),
        (f'"{MARKER}"', "bool_type"),
        ("null", "bool_type"),
    ],
    "due_date": [
        ('"2026-02-30"', "date_impossible"),
        ('"2026-02-29"', "date_impossible"),
        ('"2026-13-01"', "date_impossible"),
        ('"0000-01-01"', "date_impossible"),
        ('"2026-12-01T00:00:00"', "date_format"),
        ('"2026-12-01T00:00:00Z"', "date_format"),
        ('"10000-01-01"', "date_format"),
        ('"2026-1-1"', "date_format"),
        ('"20260101"', "date_format"),
        ('"2026-W01-1"', "date_format"),
        ('"01.12.2026"', "date_format"),
        ('" 2026-12-01"', "date_format"),
        ('"2026-12-01\\n"', "date_format"),
        ('"\\u0662026-12-01"', "date_format"),
        ('""', "date_format"),
        (f'"{MARKER}"', "date_format"),
        ("20261201", "date_format"),
        ("1.5", "date_format"),
        ("0", "date_format"),
        ("true", "date_format"),
        ("[2026, 12, 1]", "date_format"),
    ],
}
NOT_SETTABLE = ["id", "created_at", "updated_at", "etag", "version", "project", "Priority", "done"]


def body_with(member: str, value: str) -> str:
    title = "" if member == "title" else f'"title": "{MARKER}", '
    return f'{{{title}"{member}": {value}}}'


REFUSED = [
    *((body_with(member, value), f"/{member}", code) for member, values in BAD.items() for value, code in values),
    *((body_with(member, f'"{MARKER}"'), f"/{member}", "unknown") for member in NOT_SETTABLE),
]


@pytest.mark.parametrize("model", [TaskCreate, TaskChanges, TaskUpdate])
@pytest.mark.parametrize(("body", "pointer", "code"), REFUSED, ids=in_short)
def test_bad_value_is_refused(model: type[BaseModel], body: str, pointer: str, code: str) -> None:
    assert errors_in(model, body) == [(pointer, code)]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("null", "uuid_type"),
        ('""', "uuid_parsing"),
        (f'"{MARKER}"', "uuid_parsing"),
        ("7", "uuid_type"),
        ("[]", "uuid_type"),
    ],
)
def test_bad_project_is_refused(value: str, code: str) -> None:
    assert errors_in(TaskUpdate, body_with("project_id", value)) == [("/project_id", code)]


def test_only_an_update_may_name_a_project() -> None:
    for model in (TaskCreate, TaskChanges):
        assert errors_in(model, body_with("project_id", f'"{MARKER}"')) == [("/project_id", "unknown")]


def test_new_task_needs_a_title_and_changes_need_nothing() -> None:
    assert errors_in(TaskCreate, "{}") == [("/title", "missing")]
    assert errors_in(TaskChanges, "{}") == errors_in(TaskUpdate, "{}") == []
