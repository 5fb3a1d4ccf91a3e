"""How asking for a project can fail."""

from app.core.errors import NotFoundError


class ProjectNotFoundError(NotFoundError):
    """There is no such project, or none that you may see."""

    code = "project_not_found"
    title = "Project not found"
