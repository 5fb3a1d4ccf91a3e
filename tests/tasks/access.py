"""What the access matrix has to know of tasks."""

from tests.access.world import Asked, Hidden
from tests.tasks.factories import TaskFactory

_TARGET = Hidden(("editor",), lambda world: world.elsewhere.project.id, "404 project_not_found")

ASKED = Asked(
    bodies={
        "create_task": lambda _: {"title": "Sweep"},
        "batch_tasks": lambda world: {
            "operations": [{"op": "update", "id": str(world.ids("owner")["task_id"]), "changes": {}}]
        },
        "update_task": lambda _: {"title": "Sweep"},
        "patch_task": lambda _: {"title": "Sweep"},
    },
    hidden={"update_task": {"project_id": _TARGET}, "patch_task": {"project_id": _TARGET}},
    things=lambda place: {"task_id": TaskFactory.build(project_id=place.project.id)},
)
