"""Who a request is served for, and how far that reaches."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, Literal
from uuid import UUID

from app.auth.errors import InvalidTokenError
from app.core.database.database import Database
from app.core.errors import AppError


class Scope(StrEnum):
    """What an API key may be used for. To write includes to read; a session has every scope."""

    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"

    @property
    def description(self) -> str:
        """What it allows, for the documentation."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    Scope.PROJECTS_READ: "See projects.",
    Scope.PROJECTS_WRITE: "See, create, change and delete projects.",
    Scope.TASKS_READ: "See tasks.",
    Scope.TASKS_WRITE: "See, create, change and delete tasks.",
    Scope.MEMBERS_READ: "See a project's members, and look people up by username, unless bound to a project.",
    Scope.MEMBERS_WRITE: "See, add, change and remove a project's members.",
    Scope.ACCOUNT_READ: "See the account, its sessions and its API keys.",
    Scope.ACCOUNT_WRITE: "See and change the account.",
}


UNBOUND = frozenset({Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE})
"""What reaches beyond any one project: not for a key that is bound to one."""


def scopes_of_key(scopes: Iterable[str], project_id: UUID | None) -> frozenset[str]:
    """What a key may be used for: these scopes and those that they include, as far as its project reaches."""
    given = set(scopes)
    given |= {scope.removesuffix("write") + "read" for scope in given if scope.endswith(":write")}
    return frozenset(given if project_id is None else given - UNBOUND)


@dataclass(frozen=True, slots=True)
class Caller:
    """The person for whom a request is served, and the session or API key by which they are known."""

    user_id: UUID
    is_superuser: bool
    method: Literal["session", "api_key"]
    source_id: UUID
    """The session or the API key."""

    expires_at: float | None
    """When the token or key ends, in seconds since 1970; None for a key without an end."""

    scopes: frozenset[str] | None = None
    """What a key may be used for, with what that implies; None: everything, as in a session."""

    project_id: UUID | None = None
    """The only project that a key reaches; None: every project of the person."""

    must_choose_password: bool = False
    """Whether it is a session that a one-time password began, good for nothing else until another one is chosen."""

    remembered_until: float = inf
    """When the token, its session or the key ends, by `clock.elapsed`."""

    @property
    def principal(self) -> UUID:
        """What stays the same from request to request: the API key, or the person, whose sessions come and go."""
        return self.source_id if self.method == "api_key" else self.user_id

    def has(self, scope: Scope) -> bool:
        """Whether this caller may do what needs the scope."""
        return self.scopes is None or scope in self.scopes


class OwnScope:
    """What a caller may see without having a role in anything: what is their own, or what everybody may see."""

    __slots__ = ("caller", "missing", "parameters", "permission")

    def __init__(self, caller: Caller, missing: type[AppError] = InvalidTokenError, **values: Any) -> None:
        self.caller = caller
        self.missing = missing
        self.permission: Hashable = None
        self.parameters: Mapping[str, Any] = {"caller_id": caller.user_id, "source_id": caller.source_id, **values}

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - other scopes ask it
        """Why a statement that starts here found nothing. What always answers does not only if the caller is gone."""
        return self.missing()
