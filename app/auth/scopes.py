"""Callers, the scopes of API keys, and the authorisation scope of the caller's own rows."""

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
    """What an API key may be used for. A `write` scope includes its `read` scope; a session has every scope."""

    __slots__ = ("description",)

    description: str
    """What it allows, for the documentation."""

    @property
    def is_write(self) -> bool:
        """Whether it is for operations that change something."""
        return self.endswith(":write")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate against the declared scopes, looked up for each value, because features declare theirs later."""
        return core_schema.no_info_plain_validator_function(
            KEY_SCOPES.declared, ref="KeyScope", serialization=core_schema.simple_ser_schema("str")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the enum of the scopes that are declared when the document is made."""
        return {
            "title": "Scope",
            "type": "string",
            "enum": [str(scope) for scope in KEY_SCOPES],
            "description": cls.__doc__,
        }


class KeyScopes:
    """The scopes of API keys. Each feature declares its own on import; creating the application freezes them.

    Iteration is in alphabetical order, so that the order of imports does not matter.
    """

    def __init__(self) -> None:
        self._declared: dict[str, KeyScope] = {}
        self._is_frozen = False

    def declare(self, value: str, description: str) -> KeyScope:
        """Return a new scope such as `tasks:read`. Raises `ValueError` if it exists or has another form, and
        `RuntimeError` once the scopes are frozen.
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
        """Allow no further declarations, because the OpenAPI document lists these scopes."""
        self._is_frozen = True

    def declared(self, value: object) -> KeyScope:
        """Return the scope with this text. Raises `PydanticKnownError` if there is none."""
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
"""The scopes that go beyond any one project: a key that is bound to a project cannot have them."""


def scopes_of_key(scopes: Iterable[str], project_id: UUID | None) -> frozenset[str]:
    """Return the effective scopes of a key: its scopes, those that they imply, without `UNBOUND` ones if it is
    bound.
    """
    given = set(scopes)
    given |= {scope.removesuffix("write") + "read" for scope in given if scope.endswith(":write")}
    return frozenset(given if project_id is None else given - UNBOUND)


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who sends a request, and the session or API key that identifies them."""

    user_id: UUID
    is_superuser: bool
    method: Literal["session", "api_key"]
    source_id: UUID
    """The session or the API key."""

    expires_at: float | None
    """When the token or key ends, in seconds since 1970; None for a key without an end."""

    scopes: frozenset[str] | None = None
    """The effective scopes of an API key; None in a session, which has every scope."""

    project_id: UUID | None = None
    """The only project that a key can access; None for every project of the user."""

    must_choose_password: bool = False
    """Whether the session began with a one-time password, so that a new one must be set before anything else."""

    cached_until: float = inf
    """When the token, its session or the key ends, by `clock.elapsed`."""

    @property
    def principal(self) -> UUID:
        """The identity across requests: the API key, or the user, whose sessions come and go."""
        return self.source_id if self.method == "api_key" else self.user_id

    def has(self, scope: KeyScope) -> bool:
        """Return whether this caller has the scope."""
        return self.scopes is None or scope in self.scopes


class OwnScope:
    """The rows that a caller may see without a role in a project: their own, or those that every caller may see."""

    __slots__ = ("caller", "missing", "parameters", "permission")

    def __init__(self, caller: Caller, missing: type[AppError] = InvalidTokenError, **values: Any) -> None:
        self.caller = caller
        self.missing = missing
        self.permission: Hashable = None
        self.parameters: Mapping[str, Any] = {"caller_id": caller.user_id, "source_id": caller.source_id, **values}

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - other scopes ask it
        """Return the error for a statement that found no row: by default, the caller's account is gone."""
        return self.missing()
