"""Projects."""

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Member, Project, Role, TaskCount
from tests.support.factories import RowFactory, store


class ProjectFactory(RowFactory[Project]):
    """A project."""

    __model__ = Project
    require_if_match = False
    is_archived = False
    version = 1


class MemberFactory(RowFactory[Member]):
    """A person's role in a project; give it a `project_id` and a `user_id`."""

    __model__ = Member
    role = Role.OWNER.value


class TaskCountFactory(RowFactory[TaskCount]):
    """A slot of a count, as the triggers keep them."""

    __model__ = TaskCount


async def project_of(database: Database, owner: User, **values: object) -> Project:
    """A stored project that this person owns."""
    project = ProjectFactory.build(**values)
    await store(database, project, MemberFactory.build(project_id=project.id, user_id=owner.id))
    return project


async def add_member(database: Database, project: Project, user: User, role: Role) -> None:
    """Give a stored person a role in a stored project."""
    await store(database, MemberFactory.build(project_id=project.id, user_id=user.id, role=role.value))
