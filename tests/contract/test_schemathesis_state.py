"""What the service keeps between requests: random walks from one operation's answer to the next operation's request."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.transport import Response

from tests.contract.test_schemathesis import CONFIGURATION, token_of
from tests.support import server
from tests.support.process import running_service

# Hypothesis repeats walks and expects the same to happen, so each starts from a database without projects. The command
# line's own stateful phase cannot do that: it notices the difference and ends early without a word.
WALKS = settings(
    max_examples=60,
    stateful_step_count=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    ("operations", "needed"),
    [
        (
            ["create_project", "list_projects", "read_project", "update_project", "patch_project", "delete_project"],
            {"POST /api/v1/projects/", "GET /api/v1/projects/{project_id}", "DELETE /api/v1/projects/{project_id}"},
        ),
        (
            ["create_project", "create_task", "read_task", "update_task", "patch_task", "delete_task"],
            {
                "POST /api/v1/projects/{project_id}/tasks/",
                "GET /api/v1/tasks/{task_id}",
                "DELETE /api/v1/tasks/{task_id}",
            },
        ),
    ],
    ids=["projects", "tasks"],
)
def test_what_was_created_is_there_until_it_is_deleted(
    server_url: str, monkeypatch: pytest.MonkeyPatch, operations: list[str], needed: set[str]
) -> None:
    succeeded: set[str] = set()
    with running_service(server_url, environment={"TALLER_ACCESS_TOKEN_LIFETIME": "86400"}) as service:
        monkeypatch.setenv("TALLER_URL", service.url)
        monkeypatch.setenv("TALLER_TOKEN", token_of(service))
        # Without what it says of single operations: with that, `include` below would have no effect.
        general, _, _ = CONFIGURATION.read_text().partition("[[operations]]")
        configuration = schemathesis.Config.from_str(general, base_dir=str(CONFIGURATION.parent))
        schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=configuration)

        machine: Any = schema.include(operation_id=operations).as_state_machine()

        class Walk(machine):  # type: ignore[misc] # its base is made at run time
            def setup(self) -> None:
                server.execute(service.database_url, "DELETE FROM projects")

            def after_call(self, response: Response, case: schemathesis.Case[Any]) -> None:
                super().after_call(response, case)
                if response.status_code < 300:
                    succeeded.add(case.operation.label)

        Walk.run(settings=WALKS)
    # A walk that never got anywhere would prove nothing.
    assert needed <= succeeded
