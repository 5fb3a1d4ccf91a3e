"""The running service keeps what its OpenAPI document promises, whatever is sent."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.main import create_app
from tests.access.matrix import Operation, operations_of
from tests.access.table import rows
from tests.contract.fuzz import CONFIGURATION, ENVIRONMENT, STRANGER, configured, member, run, token_of
from tests.support.process import Service, running_service

pytestmark = pytest.mark.slow

OPERATIONS, ROWS = operations_of(create_app().openapi()), rows()

LED = {"project_id", "task_id"}
"""Ids for which the hooks take those of what is there; others are made up."""

_MADE_UP = [
    name for name, operation in OPERATIONS.items() if operation.takes_preconditions and operation.method != "GET"
]

MADE_UP_TAGS = f"""
[[operations]]
# Tags that are made up match nothing: that most are answered 412 is right.
include-operation-id = {_MADE_UP}
warnings = false
"""

NO_WALKS = "\n[phases.stateful]\nenabled = false\n"
"""Those of test_schemathesis_state.py get further."""

UNCOUNTED = {"logout", "create_api_key", "update_me", "delete_me", "delete_session"}
"""What asks who is calling, and of which the configuration wants no warning."""


def assert_document_kept(service: Service, directory: Path, configuration: str, environment: dict[str, str]) -> str:
    """Every check of Schemathesis passes; what it said."""
    found = run(service, directory, configuration, environment, timeout=170)
    if found.returncode != 0:
        pytest.fail(f"{found.stdout}\n{found.stderr}\n{service.log_tail()}", pytrace=False)
    return found.stdout


@pytest.fixture(scope="module")
def shared(server_url: str) -> Iterator[Service]:
    """One service for members and strangers, who do nothing to each other."""
    with running_service(server_url, environment=ENVIRONMENT) as service:
        yield service


# 30 seconds, but several times that where other tests want the processors too.
@pytest.mark.timeout(180)
def test_no_answer_breaks_the_openapi_document(server_url: str, tmp_path: Path) -> None:
    with running_service(server_url, environment=ENVIRONMENT) as service:
        configuration = CONFIGURATION.read_text() + MADE_UP_TAGS + NO_WALKS
        assert_document_kept(service, tmp_path, configuration, {"TALLER_TOKEN": token_of(service)})


@pytest.mark.timeout(180)
def test_nor_does_one_to_a_viewer(shared: Service, tmp_path: Path) -> None:
    # What editors and owners get is of the same kinds; `make fuzz` asks as them, too.
    role = "viewer"
    said = assert_document_kept(shared, tmp_path, _shortened(), member(shared, role))
    # Of what has no body, some case may be sent without a token; and what it is to delete is made up as it happens.
    refused = {operation for operation in OPERATIONS.values() if ROWS[operation.name].answers[role].startswith("403")}
    always = {operation for operation in refused if operation.takes_body and _is_there(operation, role)}
    found = _always(said, "403 Forbidden")
    assert {_address(operation) for operation in always} <= found <= {_address(operation) for operation in refused}


def _address(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def _is_there(operation: Operation, role: str) -> bool:
    """Whether what is asked for exists, or whoever asks is refused before that matters."""
    asked_for = re.findall(r"{(\w+)}", operation.path)[:1]
    return {*asked_for} <= LED or ROWS[operation.name].answers[role] == "403 admin_required"


@pytest.mark.timeout(180)
def test_nor_does_one_to_a_stranger(shared: Service, tmp_path: Path) -> None:
    said = assert_document_kept(shared, tmp_path, configured(_shortened(), STRANGER), {})
    with shared.client() as client:
        document = client.get("/openapi.json").json()
    assert _always(said, "401 Unauthorized") == {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") and operation["operationId"] not in UNCOUNTED
    }


def _shortened() -> str:
    """Fewer examples, and not once more every edge of every parameter, which are the same for every caller; that much
    is refused is no misconfiguration.
    """
    text = CONFIGURATION.read_text()
    for usual, other in (("max-examples = 8", "max-examples = 3"), ("fail-on = true", "fail-on = false")):
        assert usual in text
        text = text.replace(usual, other)
    return f"{text}\n[phases.coverage]\nenabled = false\n{NO_WALKS}"


def _always(said: str, answer: str) -> set[str]:
    """What Schemathesis warns of: the operations that answered nothing else."""
    listed = re.search(rf"^{answer} \(\d+ operations?\):\n((?:  - .+\n)+)", said, re.MULTILINE)
    return set(re.findall(r"^  - (.+)$", listed[1], re.MULTILINE)) if listed else set()
