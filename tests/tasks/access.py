"""What the access matrix has to know of tasks."""

from tests.access.scenario import AccessSamples, SecretId
from tests.tasks.factories import TaskFactory

_TARGET = SecretId(("editor",), lambda scenario: scenario.elsewhere.project.id, "404 project_not_found")

SAMPLES = AccessSamples(
    bodies={
        "create_task": lambda _: {"title": "Sweep"},
        "batch_tasks": lambda scenario: {
            "operations": [{"op": "update", "id": str(scenario.ids("owner")["task_id"]), "changes": {}}]
        },
        "update_task": lambda _: {"title": "Sweep"},
        "patch_task": lambda _: {"title": "Sweep"},
    },
    hidden={"update_task": {"project_id": _TARGET}, "patch_task": {"project_id": _TARGET}},
    things=lambda place: {"task_id": TaskFactory.build(project_id=place.project.id)},
)
