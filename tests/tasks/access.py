"""What the access matrix has to know of tasks."""

from tests.access.scenario import AccessSamples, SecretId, of_person
from tests.tasks.factories import TaskBlockerFactory, TaskFactory

_LABEL = SecretId(
    ("editor", "owner", "key_with"),
    lambda scenario: vars(scenario.foreign.things["label_id"])["id"],
    "404 label_not_found",
)
_PERSON = SecretId(("editor", "owner", "key_with"), of_person("stranger"), "404 member_not_found")
_TASK = SecretId(
    ("editor", "owner", "key_with"),
    lambda scenario: vars(scenario.foreign.things["task_id"])["id"],
    "404 task_not_found",
)
_TARGET = SecretId(("editor",), lambda scenario: scenario.elsewhere.project.id, "404 project_not_found")
_PARENT = SecretId(("editor", "owner", "key_with"), _TASK.value, "400 invalid_request")
_LISTED = SecretId(("viewer", "owner", "key_with"), _TASK.value, "ok")

SAMPLES = AccessSamples(
    bodies={
        "create_task": lambda _: {"title": "Sweep"},
        "batch_tasks": lambda scenario: {
            "operations": [{"op": "update", "id": str(scenario.ids("owner")["task_id"]), "changes": {"title": "Sweep"}}]
        },
        "update_task": lambda _: {"title": "Sweep"},
        "patch_task": lambda _: {"title": "Sweep"},
    },
    ids={
        "remove_assignee": {"user_id": lambda scenario: scenario.here.member.id},
        "list_blocked_tasks": {"task_id": lambda scenario: vars(scenario.here.things["blocker_id"])["id"]},
    },
    hidden={
        "list_tasks": {"parent_id": _LISTED},
        "list_visible_tasks": {"parent_id": _LISTED},
        "create_task": {"parent_id": _PARENT},
        "update_task": {"project_id": _TARGET, "parent_id": _PARENT},
        "patch_task": {"project_id": _TARGET, "parent_id": _PARENT},
        "add_task_label": {"label_id": _LABEL},
        "remove_task_label": {"label_id": _LABEL},
        "add_assignee": {"user_id": _PERSON},
        "remove_assignee": {"user_id": _PERSON},
        "add_blocker": {"blocker_id": _TASK},
        "remove_blocker": {"blocker_id": _TASK},
    },
    things=lambda place: {
        "task_id": TaskFactory.build(
            project_id=place.project.id,
            label_ids=[vars(place.things["label_id"])["id"]],
            assignee_ids=[place.member.id],
        ),
        "blocker_id": TaskFactory.build(project_id=place.project.id),
    },
    links=lambda place: [
        TaskBlockerFactory.build(
            project_id=place.project.id,
            **{name: vars(place.things[name])["id"] for name in ("task_id", "blocker_id")},
        )
    ],
)
