"""Who a request is served for, and how far that reaches."""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal
from uuid import UUID

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from app.auth.errors import InvalidTokenError
from app.core.database.database import Database
from app.core.errors import AppError


class KeyScope(str):
    """What an API key may be used for. To write includes to read; a session has every scope."""

    __slots__ = ("description",)

    description: str
    """What it allows, for the documentation."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take one that is declared by its text. Which there are is asked for each value: features come later."""
        return core_schema.no_info_plain_validator_function(
            KEY_SCOPES.declared, ref="KeyScope", serialization=core_schema.simple_ser_schema("str")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe it as one of those that are declared when the document is made."""
        return {
            "title": "Scope",
            "type": "string",
            "enum": [str(scope) for scope in KEY_SCOPES],
            "description": cls.__doc__,
        }


class KeyScopes:
    """The scopes of API keys. Each feature declares its own where it is imported; making the application freezes them.

    In alphabetical order, so that it does not matter which feature is imported first.
    """

    def __init__(self) -> None:
        self._declared: dict[str, KeyScope] = {}
        self._is_frozen = False

    def declare(self, value: str, description: str) -> KeyScope:
        """Return a new scope, such as `tasks:read`. Raise `ValueError` for one that exists or has another form, and
        `RuntimeError` once they are frozen.
        """
        if self._is_frozen:
            raise RuntimeError(f"the scope {value} is declared too late: declare it where its feature is imported")
        if re.fullmatch("[a-z_]+:(read|write)", value) is None:
            raise ValueError(f"the scope {value} must be the name of something, and `:read` or `:write`")
        if value in self._declared:
            raise ValueError(f"the scope {value} is declared twice")
        scope = KeyScope(value)
        scope.description = description
        self._declared[value] = scope
        return scope

    def freeze(self) -> None:
        """Let no further scope be declared: the document and the guards know these."""
        self._is_frozen = True

    def declared(self, value: object) -> KeyScope:
        """Return the scope with this text. Raises `PydanticKnownError` where there is none."""
        if isinstance(value, str) and value in self._declared:
            return self._declared[value]
        *others, last = (f"'{scope}'" for scope in self)
        raise PydanticKnownError("enum", {"expected": f"{', '.join(others)} or {last}"})

    def __iter__(self) -> Iterator[KeyScope]:
        return iter(sorted(self._declared.values()))


KEY_SCOPES = KeyScopes()
"""All scopes of this application."""

ACCOUNT_READ = KEY_SCOPES.declare("account:read", "See the account, its sessions and its API keys.")
ACCOUNT_WRITE = KEY_SCOPES.declare("account:write", "See and change the account.")
MEMBERS_READ = KEY_SCOPES.declare(
    "members:read", "See a project's members, and look people up by username, unless bound to a project."
)

UNBOUND = frozenset({ACCOUNT_READ, ACCOUNT_WRITE})
"""What reaches beyond any one project: not for a key that is bound to one."""


def scopes_of_key(scopes: Iterable[str], project_id: UUID | None) -> frozenset[str]:
    """Return what a key may be used for: these scopes and those that they include, as far as its project reaches."""
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

    cached_until: float = inf
    """When the token, its session or the key ends, by `clock.elapsed`."""

    @property
    def principal(self) -> UUID:
        """What stays the same from request to request: the API key, or the person, whose sessions come and go."""
        return self.source_id if self.method == "api_key" else self.user_id

    def has(self, scope: KeyScope) -> bool:
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
