"""What the OpenAPI document is made from."""

from app.core.errors import InvalidRequestError, NotFoundError, StatementTimeoutError, UnavailableError
from app.system.openapi import problems


def test_problems_are_told_by_status_and_then_by_code() -> None:
    told = problems(UnavailableError, InvalidRequestError, StatementTimeoutError, NotFoundError)
    assert list(told) == ["400", "404", "503"]
    examples = told["503"]["content"]["application/problem+json"]["examples"]
    assert list(examples) == ["unavailable", "statement_timeout"]
    assert told["503"]["description"] == "Temporarily unavailable; or Statement timeout"
