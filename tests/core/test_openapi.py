"""What the OpenAPI document is made from."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core.errors import InvalidRequestError, NotAuthenticatedError, StatementTimeoutError, UnavailableError
from app.core.openapi import problems
from app.core.schemas import Storable, Visible
from app.projects.schemas import Name
from app.tasks.schemas import Description

# Text as JSON in UTF-8 can carry it, rich in what Python calls blank.
BLANKS = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())
TEXTS = st.text(st.sampled_from(BLANKS + "\0\ufeff\u200bx") | st.characters(codec="utf-8"), max_size=20)


def accepts(kind: Any, value: str) -> bool:
    """Whether the type takes the value."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@given(TEXTS)
def test_the_pattern_of_text_promises_what_is_checked(value: str) -> None:
    assert bool(re.search(Storable.pattern, value)) == accepts(Description, value)


@given(TEXTS.filter(bool))
def test_the_pattern_of_a_name_promises_what_is_checked(value: str) -> None:
    assert bool(re.search(Visible.pattern, value)) == accepts(Name, value)


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_no_kind_of_blank_alone_is_a_name(blank: str) -> None:
    assert not re.search(Visible.pattern, blank)
    assert not accepts(Name, blank)
    assert re.search(Visible.pattern, f"{blank}x{blank}")


def test_problems_are_told_by_status_and_then_by_code() -> None:
    told = problems(UnavailableError, InvalidRequestError, StatementTimeoutError, NotAuthenticatedError)
    assert list(told) == [400, 401, 503]
    examples = told[503]["content"]["application/problem+json"]["examples"]
    assert list(examples) == ["unavailable", "statement_timeout"]
    assert told[503]["description"] == "Temporarily unavailable; or The database took too long"
