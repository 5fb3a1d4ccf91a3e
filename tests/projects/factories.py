"""Projects."""

from app.projects.models import Project
from tests.support.factories import RowFactory


class ProjectFactory(RowFactory[Project]):
    """A project."""

    __model__ = Project
