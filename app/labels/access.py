"""Guards of labels. Every statement about a label starts from a scope that a guard here has created."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.auth.scopes import KEY_SCOPES
from app.labels.scopes import LabelScope
from app.projects.access import EntityGuard, ProjectGuard
from app.projects.models import Role
from app.projects.scopes import ProjectScope

LABELS_READ = KEY_SCOPES.declare("labels:read", "See labels.")
LABELS_WRITE = KEY_SCOPES.declare("labels:write", "See, create, change and delete labels.")


class LabelGuard(EntityGuard[LabelScope]):
    """Guards the label of the path."""

    scope_class = LabelScope

    async def __call__(
        self, request: Request, label_id: Annotated[UUID, Path(description="The label's id.")]
    ) -> LabelScope:
        """Return the label's scope."""
        return self.scope_of(request, self.caller(request), label_id)


ProjectWithLabels = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, LABELS_READ))]
"""The project of the path, if the caller may see its labels."""

ProjectForLabels = Annotated[ProjectScope, Depends(ProjectGuard(Role.EDITOR, LABELS_WRITE))]
"""The project of the path, if the caller may add labels to it."""

ReadableLabel = Annotated[LabelScope, Depends(LabelGuard(Role.VIEWER, LABELS_READ))]
"""The label of the path, if the caller may see it."""

EditableLabel = Annotated[LabelScope, Depends(LabelGuard(Role.EDITOR, LABELS_WRITE, is_conditional=True))]
"""The label of the path, if the caller may change it."""
