"""Where the document and Schemathesis misunderstand each other, this translates."""

from typing import Any

import schemathesis


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
