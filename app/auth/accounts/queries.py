"""Statements that return accounts."""

from collections.abc import Hashable
from uuid import UUID

from sqlalchemy import (
    Text,
    Uuid,
    select,
)

from app.auth.accounts.schemas import PersonRead, UserRead
from app.auth.models import User
from app.auth.queries import ACCOUNT, lowered_username
from app.core.database.statements import Rows, compiled, param
from app.core.listing.sorting import Key
from app.core.listing.statement import ListSource, ListVariant, list_query, simple_list

WRITTEN = (*ACCOUNT, User.password_expires_at)
"""The columns that a write returns."""


def user_by_id(user_id: UUID) -> Rows:
    """Select the account with this id, with the columns that a write returns."""
    return select(*WRITTEN).where(User.id == user_id)


@compiled
def account() -> Rows:
    """Select the caller's own account."""
    return select(*ACCOUNT).where(User.id == param("caller_id", Uuid))


@compiled(model=UserRead)
def user() -> Rows:
    """Select the account with the id of the path."""
    return select(*ACCOUNT).where(User.id == param("user_id", Uuid))


@compiled(model=PersonRead)
def person() -> Rows:
    """Select the public part of the active account whose `username_key` is the parameter."""
    return select(User.id, User.username).where(lowered_username() == param("username", Text), User.is_active)


@list_query({"id": Key(User.id)}, "-id", model=UserRead)
def users(_: Hashable, __: ListVariant) -> ListSource:
    """Select a page of all accounts, the newest first."""
    return simple_list(select(*ACCOUNT))


def all_users() -> Rows:
    """Select all accounts, the newest first."""
    return select(*ACCOUNT).order_by(User.id.desc())
