"""Where the document and Schemathesis misunderstand each other, this translates."""

import re
from typing import Any

import schemathesis

from app.core.idempotency import PARAMETER
from app.core.ids import uuid7


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Call the token what it is in a request. Of OAuth2 Schemathesis does not know where the token goes, and so would
    never try what happens without one.
    """
    raw_schema["components"]["securitySchemes"]["bearer"] = {"type": "http", "scheme": "bearer"}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Write 589.0 as 589: JSON Schema calls both an integer, this service only the second."""
    return _with_plain_integers(body)


def _with_plain_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_plain_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_plain_integers(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Make every well-formed idempotency key a new one. The same ones are made up again and again, and would only ever
    tell that they belong to another request.
    """
    headers: Any = case.headers or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(PARAMETER["schema"]["pattern"], key):
        headers["Idempotency-Key"] = str(uuid7())
