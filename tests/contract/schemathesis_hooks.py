"""Where the document and Schemathesis misunderstand each other, this translates."""

from typing import Any

import schemathesis
from hypothesis import strategies as st

from app.core.conditional import IF_MATCH, IF_NONE_MATCH, PATTERN


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Call the token what it is in a request. Of OAuth2 Schemathesis does not know where the token goes, and so would
    never try what happens without one.
    """
    raw_schema["components"]["securitySchemes"]["bearer"] = {"type": "http", "scheme": "bearer"}
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in {IF_MATCH, IF_NONE_MATCH}:
                    # Of a pattern that wants quotation marks it makes no value, and then sends a 0 as if it were one.
                    parameter["schema"] = {"type": "string", "format": "entity-tags"}


schemathesis.openapi.format("entity-tags", st.from_regex(PATTERN, fullmatch=True).map(str.strip))


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
