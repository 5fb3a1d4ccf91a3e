"""The running service keeps what its OpenAPI document promises, whatever is sent.

Here as the administrator, who gets furthest, and each parameter and body once. What others are answered, and by each
operation, is held to the document by the access matrix, and `make drills` tries new cases as everybody.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.access.matrix import operations_of
from tests.contract.fuzz import CONFIGURATION, ENVIRONMENT, run
from tests.support.openapi import DOCUMENT
from tests.support.process import running_service

pytestmark = pytest.mark.slow


_MADE_UP = [
    name
    for name, operation in operations_of(DOCUMENT).items()
    if operation.takes_preconditions and operation.method != "GET"
]

MADE_UP_TAGS = f"""
[[operations]]
# Tags that are made up match nothing: that most are answered 412 is right.
include-operation-id = {_MADE_UP}
warnings = false
"""


def alike(document: dict[str, Any]) -> dict[str, str]:
    """Return the operations that take nothing which another one of their kind does not take, and that other one.

    PUT and PATCH are of one kind. Ids in addresses are all of one schema; an address with another is kept.
    """
    operations = [
        (
            "patch" if method == "put" else method,
            {json.dumps(parameter, sort_keys=True) for parameter in parameters if _is_compared(parameter)},
            operation.get("requestBody"),
            operation["operationId"],
        )
        for path in document["paths"].values()
        for method, operation in path.items()
        for parameters in [operation.get("parameters", [])]
    ]
    kept: list[tuple[str, set[str], Any, str]] = []
    found = {}
    for kind, parameters, body, name in sorted(operations, key=lambda operation: -len(operation[1])):
        same = [other for of, takes, reads, other in kept if of == kind and parameters <= takes and reads == body]
        if same:
            found[name] = same[0]
        else:
            kept.append((kind, parameters, body, name))
    return found


def _is_compared(parameter: dict[str, Any]) -> bool:
    return bool(parameter["in"] != "path" or parameter["schema"].get("format") != "uuid")


REPEATING = f"""
[[operations]]
include-operation-id = {[*alike(DOCUMENT)]}
enabled = false
"""

EDGES_ALONE = "\n[phases.fuzzing]\nenabled = false\n[phases.stateful]\nenabled = false\n"
"""`make drills` tries random cases, and the walks of test_schemathesis_state.py get further."""


def test_an_operation_that_takes_more_is_not_left_out() -> None:
    size = {"name": "size", "in": "query", "schema": {"type": "integer"}}
    id_, name = (
        {"name": name, "in": "path", "schema": schema}
        for name, schema in (
            ("id", {"type": "string", "format": "uuid"}),
            ("name", {"type": "string"}),
        )
    )
    paths = {
        "/a": {"get": {"operationId": "a", "parameters": [size]}},
        "/b/{id}": {"get": {"operationId": "b", "parameters": [id_]}, "delete": {"operationId": "c"}},
        "/d/{name}": {"get": {"operationId": "d", "parameters": [name]}},
        "/e": {"put": {"operationId": "e", "requestBody": {}}, "patch": {"operationId": "f", "requestBody": {}}},
        "/g": {"put": {"operationId": "g"}},
    }
    assert alike({"paths": paths}) == {"b": "a", "f": "e"}


# 10 seconds, but several times that where other tests want the processors too.
@pytest.mark.timeout(180)
def test_no_answer_breaks_the_openapi_document(server_url: str, tmp_path: Path) -> None:
    configuration = CONFIGURATION.read_text() + MADE_UP_TAGS + REPEATING + EDGES_ALONE
    with running_service(server_url, environment=ENVIRONMENT) as service:
        found = run(service, tmp_path, configuration, {"TALLER_TOKEN": service.token()}, timeout=170)
        if found.returncode != 0:
            pytest.fail(f"{found.stdout}\n{found.stderr}\n{service.log_tail()}", pytrace=False)
