"""What the members of a project may be, for all that write one. Values are decided by the schemas alone."""

import pytest
from pydantic import BaseModel

from app.projects.schemas import ProjectCreate, ProjectUpdate
from tests.support.bad_requests import errors_in
from tests.support.samples import MARKER, in_short

BAD_NAMES = [
    ('""', "string_too_short"),
    ('"   "', "blank"),
    ('"\\t\\n\\u00a0\\u2003"', "blank"),
    (f'"{MARKER}{"x" * 200}"', "string_too_long"),
    (f'"{MARKER}\\u0000"', "nul_character"),
    (f'"{MARKER}\\ud800"', "string_unicode"),
    (f'"\\udc00{MARKER}"', "string_unicode"),
    ("null", "string_type"),
    ("1", "string_type"),
    ("true", "string_type"),
    (f'["{MARKER}"]', "string_type"),
    (f'{{"{MARKER}": "{MARKER}"}}', "string_type"),
]
BAD_DESCRIPTIONS = [
    (f'"{MARKER}{"x" * 10_000}"', "string_too_long"),
    (f'"{MARKER}\\u0000"', "nul_character"),
    (f'"{MARKER}\\ud83d"', "string_unicode"),
    ("1", "string_type"),
    ("false", "string_type"),
    (f'["{MARKER}"]', "string_type"),
]
NOT_SETTABLE = ["id", "created_at", "updated_at", "etag", "version", "owner", "Name", "name ", "__class__", ""]

REFUSED = [
    *((f'{{"name": {value}}}', "/name", code) for value, code in BAD_NAMES),
    *((f'{{"name": "{MARKER}", "description": {value}}}', "/description", code) for value, code in BAD_DESCRIPTIONS),
    *((f'{{"name": "{MARKER}", "{member}": "{MARKER}"}}', f"/{member}", "unknown") for member in NOT_SETTABLE),
    (f'{{"name": "{MARKER}", "a/b~c": 1}}', "/a~1b~0c", "unknown"),
]

MODELS: list[type[BaseModel]] = [ProjectCreate, ProjectUpdate]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("body", "pointer", "code"), REFUSED, ids=in_short)
def test_bad_value_is_refused(model: type[BaseModel], body: str, pointer: str, code: str) -> None:
    assert errors_in(model, body) == [(pointer, code)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("value", ["null", "0", "1", '"true"', "[]"])
def test_require_if_match_is_true_or_false(model: type[BaseModel], value: str) -> None:
    assert errors_in(model, f'{{"name": "x", "require_if_match": {value}}}') == [("/require_if_match", "bool_type")]


def test_new_project_needs_a_name_and_changes_need_nothing() -> None:
    assert errors_in(ProjectCreate, "{}") == [("/name", "missing")]
    assert errors_in(ProjectUpdate, "{}") == []
