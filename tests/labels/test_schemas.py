"""What the members of a label may be. Values are decided by the schemas alone."""

import pytest
from pydantic import BaseModel

from app.labels.schemas import LabelCreate, LabelUpdate
from tests.support.bad_requests import errors_in
from tests.support.samples import MARKER, in_short

REFUSED = [
    ('{"name": ""}', "/name", "string_too_short"),
    (f'{{"name": "{MARKER}{"x" * 50}"}}', "/name", "string_too_long"),
    ('{"name": " "}', "/name", "blank"),
    ('{"name": null}', "/name", "string_type"),
    *(
        (f'{{"name": "x", "color": {color}}}', "/color", code)
        for color, code in [
            ('"#D73A4A"', "color"),
            ('"#d73a4"', "color"),
            ('"#d73a4aa"', "color"),
            ('"#d73a4a\\n"', "color"),
            ('"d73a4a"', "color"),
            ('"red"', "color"),
            (f'"{MARKER}"', "color"),
            ("null", "string_type"),
            ("14105162", "string_type"),
        ]
    ),
    ('{"name": "x", "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11"}', "/project_id", "unknown"),
]

MODELS: list[type[BaseModel]] = [LabelCreate, LabelUpdate]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("body", "pointer", "code"), REFUSED, ids=in_short)
def test_bad_value_is_refused(model: type[BaseModel], body: str, pointer: str, code: str) -> None:
    assert errors_in(model, body) == [(pointer, code)]


def test_a_new_label_needs_a_name_and_changes_need_nothing() -> None:
    assert errors_in(LabelCreate, "{}") == [("/name", "missing")]
    assert errors_in(LabelUpdate, "{}") == []
