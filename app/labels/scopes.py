"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from sqlalchemy import ColumnElement, SQLColumnExpression

from app.core.preconditions.etags import etag_expression
from app.labels.errors import LabelNotFoundError
from app.labels.models import Label
from app.projects.scopes import Entity, EntityScope


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """Return a label's tag: all that it shows stands in its row. Another shape needs another letter."""
    return etag_expression("l", version)


LABEL = Entity(Label, Label.project_id, tag(Label.version), LabelNotFoundError, ("label_id",))

this_label = LABEL.condition


class LabelScope(EntityScope):
    """One label as far as this caller may touch it."""

    __slots__ = ()

    entity = LABEL
