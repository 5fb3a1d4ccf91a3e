"""Projects."""

from app.auth.models import User
from app.core.database import Database
from app.projects.models import Project
from tests.support.factories import RowFactory, store


class ProjectFactory(RowFactory[Project]):
    """A project."""

    __model__ = Project


async def project_of(database: Database, owner: User, **values: object) -> Project:
    """A stored project that this person may see and change."""
    project = ProjectFactory.build(**values)
    await store(database, project)
    return project
