"""Statements that return accounts."""

from collections.abc import Hashable
from uuid import UUID

from sqlalchemy import (
    Text,
    Uuid,
    select,
)

from app.auth.models import User
from app.auth.queries import ACCOUNT, lowered_username
from app.core.database.statements import Rows, given
from app.core.listing.sorting import Key
from app.core.listing.statement import Shape, listing, page_of

WRITTEN = (*ACCOUNT, User.password_expires_at)
"""What is returned of an account that was written."""


def user_by_id(user_id: UUID) -> Rows:
    """The account with this id, as if it was written."""
    return select(*WRITTEN).where(User.id == user_id)


def account(_: Hashable) -> Rows:
    """The caller's own account."""
    return select(*ACCOUNT).where(User.id == given("caller_id", Uuid))


def user(_: Hashable) -> Rows:
    """Somebody's account."""
    return select(*ACCOUNT).where(User.id == given("user_id", Uuid))


def person(_: Hashable) -> Rows:
    """What everybody may know of the active person with a username, given as it is `looked_up`."""
    return select(User.id, User.username).where(lowered_username() == given("username", Text), User.is_active)


@listing({"id": Key(User.id)}, "-id")
def users(_: Hashable, shape: Shape) -> Rows:
    """A page of all accounts, the newest first."""
    return page_of(shape, User.id, select(*ACCOUNT))
