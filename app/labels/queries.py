"""Statements that return labels."""

from sqlalchemy import Uuid, func, select

from app.core.database.statements import Rows, compiled, param
from app.core.listing.sorting import Key, alphabetical
from app.core.listing.statement import ListSource, ListVariant, list_query, total_of
from app.core.preconditions.headers import PreconditionShape
from app.labels.models import Label
from app.labels.schemas import LabelRead
from app.labels.scopes import tag, this_label
from app.projects.models import Project
from app.projects.scopes import Permission, this_project

READ_COLUMNS = (
    Label.id,
    Label.project_id,
    Label.name,
    Label.color,
    Label.created_at,
    Label.updated_at,
    tag(Label.version).label("etag"),
)
"""A label's columns and its tag."""


@compiled(model=LabelRead)
def label(permission: Permission, shape: PreconditionShape | None = None) -> Rows:
    """Select one label."""
    return select(*READ_COLUMNS).where(this_label(permission, shape))


@list_query({"name": Key(Label.name, compared=alphabetical), "id": Key(Label.id)}, "name", model=LabelRead)
def labels_of_project(permission: Permission, _: ListVariant) -> ListSource:
    """Select a page of a project's labels, in alphabetical order."""
    of_project = Label.project_id == param("project_id", Uuid)
    return ListSource(
        items=select(*READ_COLUMNS).where(of_project),
        total=total_of(func.count()).select_from(Label).where(of_project),
        root=Project.__table__,
        where=this_project(permission),
    )
