"""What the service keeps between requests: random walks from one operation's answer to the next operation's request."""

from collections import defaultdict
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.transport import Response

from tests.contract.fuzz import CONFIGURATION
from tests.support import server
from tests.support.process import Service

pytestmark = pytest.mark.slow

# Hypothesis repeats walks and expects the same to happen, so each starts from a database without projects. The command
# line's own stateful phase cannot do that: it notices the difference and ends early without a word.
WALKS = settings(
    max_examples=12,
    stateful_step_count=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

PROJECTS = ["create_project", "list_projects", "read_project", "update_project", "patch_project", "delete_project"]
TASKS = ["create_project", "create_task", "read_task", "update_task", "patch_task", "delete_task"]
TO_CREATE_PROJECTS = "POST /api/v1/projects/"
TO_READ_PROJECTS = {"GET /api/v1/projects/{project_id}"}
TO_DELETE_PROJECTS = {"DELETE /api/v1/projects/{project_id}"}
TO_CREATE_TASKS = {"POST /api/v1/projects/{project_id}/tasks/"}
TO_REACH_TASKS = {"GET /api/v1/tasks/{task_id}", "DELETE /api/v1/tasks/{task_id}"}


def walked(service: Service, operations: list[str]) -> dict[str, set[int]]:
    """Walk through these operations; how each was answered."""
    answers: dict[str, set[int]] = defaultdict(set)
    # Without what it says of single operations: with that, `include` below would have no effect.
    general, _, _ = CONFIGURATION.read_text().partition("[[operations]]")
    # Its probes without a token double the requests; test_schemathesis.py has them for every operation.
    general = general.replace("[checks]\n", "[checks]\nignored_auth.enabled = false\n")
    config = schemathesis.Config.from_str(general, base_dir=str(CONFIGURATION.parent))
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=config)
    machine: Any = schema.include(operation_id=operations).as_state_machine()

    class Walk(machine):  # type: ignore[misc] # its base is made at run time
        def setup(self) -> None:
            server.execute(service.database_url, "DELETE FROM projects")

        def after_call(self, response: Response, case: schemathesis.Case[Any]) -> None:
            super().after_call(response, case)
            answers[case.operation.label].add(response.status_code)

    Walk.run(settings=WALKS)
    return answers


def having(answers: dict[str, set[int]], *, among: set[int]) -> set[str]:
    """The operations that were answered like that at least once."""
    return {operation for operation, statuses in answers.items() if statuses & among}


SUCCESS, REFUSED = set(range(200, 300)), {403}


@pytest.mark.parametrize(
    ("operations", "needed"),
    [
        (PROJECTS, {TO_CREATE_PROJECTS} | TO_READ_PROJECTS | TO_DELETE_PROJECTS),
        (TASKS, TO_CREATE_TASKS | TO_REACH_TASKS),
    ],
    ids=["projects", "tasks"],
)
def test_what_was_created_is_there_until_it_is_deleted(
    service: Service, monkeypatch: pytest.MonkeyPatch, operations: list[str], needed: set[str]
) -> None:
    monkeypatch.setenv("TALLER_URL", service.url)
    monkeypatch.setenv("TALLER_TOKEN", service.token())
    answers = walked(service, operations)
    # A walk that never got anywhere would prove nothing.
    assert needed <= having(answers, among=SUCCESS)
    assert not having(answers, among=REFUSED)
