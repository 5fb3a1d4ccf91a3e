"""Statements that return people."""

from uuid import UUID

from sqlalchemy import func, select

from app.auth.models import User
from app.core.database import Rows

USER_COLUMNS = (
    User.id,
    User.username,
    User.email,
    User.hashed_password,
    User.is_active,
    User.is_superuser,
    User.created_at,
)


def user_by_id(user_id: UUID) -> Rows:
    """The person with this id."""
    return select(*USER_COLUMNS).where(User.id == user_id)


def user_by_login(login: str) -> Rows:
    """The person who signs in by this username, whatever its case."""
    return select(*USER_COLUMNS).where(func.lower(User.username) == func.lower(login))
