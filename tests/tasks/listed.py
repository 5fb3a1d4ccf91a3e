"""The two lists of ids that a task has, which promise the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project, Role
from tests.auth.factories import UserFactory
from tests.labels.factories import LabelFactory
from tests.projects.factories import MemberFactory, project_of
from tests.support.factories import store


@dataclass(frozen=True)
class Listed:
    """One of them."""

    name: str
    path: str
    """Where they are under a task's address."""

    parameter: str
    """The filter."""

    unknown: str
    """The code of a value that cannot be in the list."""

    missing: str
    """The code of one that cannot be put into it."""

    full: str

    async def stored(self, database: Database, project: Project, number: int) -> list[str]:
        """The ids of new things in a project that may be listed, in ascending order."""
        if self.name == "label_ids":
            labels = [LabelFactory.build(project_id=project.id) for _ in range(number)]
            await store(database, *labels)
            return sorted(str(label.id) for label in labels)
        people = [UserFactory.build() for _ in range(number)]
        members = [MemberFactory.build(project_id=project.id, user_id=one.id, role=Role.VIEWER) for one in people]
        await store(database, *people, *members)
        return sorted(str(person.id) for person in people)


LABELS = Listed("label_ids", "labels", "label_id", "unknown_label", "label_not_found", "too_many_task_labels")
ASSIGNEES = Listed("assignee_ids", "assignees", "assignee_id", "not_a_member", "member_not_found", "too_many_assignees")

each_list = pytest.mark.parametrize("listed", [LABELS, ASSIGNEES], ids=lambda listed: listed.name)


class Place(NamedTuple):
    """Projects, and what may be listed in them."""

    project: Project
    ids: list[str]
    other: Project
    others: list[str]

    @classmethod
    async def of(cls, database: Database, user: User, listed: Listed, number: int = 3) -> "Place":
        """Two projects of this person."""
        project, other = [await project_of(database, user) for _ in range(2)]
        return cls(
            project,
            await listed.stored(database, project, number),
            other,
            await listed.stored(database, other, number),
        )

    @property
    def tasks(self) -> str:
        """Where tasks of the first project are."""
        return f"/projects/{self.project.id}/tasks/"


ROWS = """
    SELECT task_id, label_id AS id, project_id, 'label_ids' AS list FROM task_labels
    UNION ALL SELECT task_id, user_id, project_id, 'assignee_ids' FROM task_assignees
"""
LISTED = """
    SELECT id AS task_id, unnest(ids_in(label_ids)) AS id, project_id, 'label_ids' AS list FROM tasks
    UNION ALL SELECT id, unnest(ids_in(assignee_ids)), project_id, 'assignee_ids' FROM tasks
"""
UNREAL = f"""
    (({ROWS}) EXCEPT ({LISTED})) UNION ALL (({LISTED}) EXCEPT ({ROWS}))
    UNION ALL SELECT * FROM ({LISTED}) AS listed WHERE NOT EXISTS (
        SELECT FROM labels WHERE labels.id = listed.id AND labels.project_id = listed.project_id
    ) AND NOT EXISTS (
        SELECT FROM project_members AS member
        WHERE member.user_id = listed.id AND member.project_id = listed.project_id
    )
"""


async def unreal(database: Database) -> Sequence[Any]:
    """What tasks list and the rows do not say, or the rows and not the tasks; and what there is not. There is none."""
    return await database.fetch_all(text(UNREAL))


async def ids_of(database: Database, task_id: object, listed: Listed) -> list[str]:
    """What a task lists, by its rows."""
    rows = await database.fetch_all(
        text(f"SELECT id FROM ({ROWS}) AS rows WHERE task_id = :task_id AND list = :list ORDER BY id").bindparams(
            task_id=UUID(str(task_id)), list=listed.name
        )
    )
    return [str(row["id"]) for row in rows]
