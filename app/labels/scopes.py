"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from sqlalchemy import ColumnElement, SQLColumnExpression

from app.core.preconditions.etags import etag_expression
from app.labels.errors import LabelNotFoundError
from app.labels.models import Label
from app.projects.scopes import Entity, EntityScope


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """Return a label's entity tag. If the response's schema changes, the letter must change too."""
    return etag_expression("l", version)


LABEL = Entity(Label, Label.project_id, tag(Label.version), LabelNotFoundError, ("label_id",))

this_label = LABEL.condition


class LabelScope(EntityScope):
    """One label with the caller's permission."""

    __slots__ = ()

    entity = LABEL
