"""The answers that the OpenAPI document declares for an operation, and where an answer differs from them."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from httpx2 import Response
from jsonschema_rs import Draft202012Validator, Registry, Validator

from app.core.errors import PROBLEM_MEDIA_TYPE

_DOCUMENT = "urn:openapi"


class DeclaredAnswer(NamedTuple):
    """What the document says of the answers with one status."""

    bodies: Mapping[str, Validator]
    """By media type."""

    required_headers: frozenset[str]
    codes: frozenset[str | None]
    """Of problems; only None where the answer is no problem."""


def declared_answers(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[int, DeclaredAnswer]:
    """Return what is declared, by status."""
    found = {}
    components = json.dumps({"components": document["components"]})
    for status, reference in operation["responses"].items():
        response = resolved(document, reference)
        content = response.get("content", {})
        headers = {name: resolved(document, header) for name, header in response.get("headers", {}).items()}
        found[int(status)] = DeclaredAnswer(
            bodies={
                media_type: _validator(json.dumps(body["schema"]), components) for media_type, body in content.items()
            },
            required_headers=frozenset(name for name, header in headers.items() if header.get("required")),
            codes=frozenset(content.get(PROBLEM_MEDIA_TYPE, {}).get("examples") or [None]),
        )
    return found


def differences(answers: Mapping[int, DeclaredAnswer], answer: Response) -> Iterator[str]:
    """Yield where an answer is not as it is declared."""
    status, code = answer.status_code, None if answer.status_code < 400 else answer.json()["code"]
    answered = f"answers {status}" if code is None else f"answers {status} {code}"
    declared = answers.get(status)
    if declared is None or code not in declared.codes:
        yield f"{answered}, and does not declare it: add its class to `errors`"
        return
    for name in sorted(declared.required_headers):
        if name not in answer.headers:
            yield f"{answered} without the header {name}, which is declared as required"
    media_type = answer.headers.get("content-type", "nothing")
    validator = declared.bodies.get(media_type)
    if validator is not None:
        for error in validator.iter_errors(answer.json()):
            yield f"{answered} with a body that is not as declared: {error.message}"
    elif answer.content or declared.bodies:
        yield f"{answered} as {media_type}, and declares {' or '.join(declared.bodies) or 'no body'}"


def resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference names, or the part itself."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: Mapping[str, Any] = document["components"][kind][name]
    return found


@cache
def _validator(schema: str, components: str) -> Validator:
    # With the components beside it, a validator takes up only those that its schema refers to: each kilobytes, not MB.
    relocated = json.loads(schema.replace('"#/', f'"{_DOCUMENT}#/'))
    return Draft202012Validator(relocated, validate_formats=True, registry=_registry(components))


@cache
def _registry(components: str) -> Registry:
    return Registry([(_DOCUMENT, json.loads(components))])
