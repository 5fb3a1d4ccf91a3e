"""What every operation answers to every kind of caller, as its guard says, and what the features say of it.

Access is written once, in the guard that a route takes. The matrix holds what is answered over HTTP to it, and the
table in docs/security.md, which `make docs` writes, shows what it says to whoever reviews a change.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.auth.access import Admin, CallerGuard
from app.auth.errors import KeyBoundToProjectError
from app.auth.scopes import UNBOUND
from app.core.guards import Guard, guards_of
from app.features import ROUTERS
from app.projects.access import EntityGuard
from app.projects.models import Role
from tests.access.scenario import CALLERS, KEYS, NOBODY, ONE_TIME, Scenario, SecretId, Value, access_samples


@dataclass(frozen=True)
class Row:
    """What an operation answers each caller."""

    file: str
    """Where its feature says what only a test can know."""

    scope: str | None
    answers: Mapping[str, str]
    """By caller: `ok`, or the status, the code and what the refusal names."""

    own: Mapping[str, str] = field(default_factory=dict)
    """The same about what is the caller's own, for members to whom that makes a difference."""

    hidden: Mapping[str, SecretId] = field(default_factory=dict)
    """By input: every one that carries an id."""

    body: Callable[[Scenario], dict[str, Any]] | None = None

    ids: Mapping[str, Value] = field(default_factory=dict)
    """What its path names, where that is not what others name."""


def rows() -> dict[str, Row]:
    """The table, by operation."""
    features, found = access_samples(), {}
    for router in ROUTERS:
        for route in router.routes:
            if route.include_in_schema:
                (guard,) = guards_of(route)
                feature = route.endpoint.__module__.split(".")[1]
                known = features.get(feature)
                found[route.name] = Row(
                    file=f"tests/{feature}/access.py",
                    scope=guard.scope if isinstance(guard, CallerGuard) else None,
                    answers=dict.fromkeys(CALLERS, "ok") | dict(_answers(guard)),
                    own=dict(_answers_to_own(guard)),
                    hidden=dict(_hidden(guard)) | dict(known.hidden.get(route.name, {}) if known else {}),
                    body=known.bodies.get(route.name) if known else None,
                    ids=known.ids.get(route.name, {}) if known else {},
                )
    return found


def _answers(guard: Guard) -> Iterator[tuple[str, str]]:
    """How the guard refuses; whom it does not name it admits."""
    if isinstance(guard, CallerGuard):
        yield from dict.fromkeys(NOBODY, "401 invalid_token").items()
        yield "anonymous", "401 not_authenticated"
        if not guard.for_choosing:
            yield ONE_TIME, "403 password_change_required"
        yield from _answers_to_people(guard)
        yield from _answers_to_keys(guard)


def _answers_to_people(guard: CallerGuard) -> Iterator[tuple[str, str]]:
    if isinstance(guard, Admin):
        yield from dict.fromkeys(("stranger", "viewer", "editor", "owner"), "403 admin_required").items()
    if isinstance(guard, EntityGuard):
        yield "stranger", f"404 {guard.entity.missing.code}"
        for role in Role:
            if not _is_enough(role, guard.least):
                yield role.value, _too_weak(guard)
        if guard.least is None:
            yield "admin", _too_weak(guard)


def _is_enough(role: Role, least: Role | None) -> bool:
    return least is not None and role.value in least.and_above


def _too_weak(guard: EntityGuard[Any]) -> str:
    """What those are told who see something of somebody else, and lack the role."""
    required = guard.entity.owner_required if guard.own is not None else None
    if required is not None:
        return f"403 {required.code}"
    assert guard.least is not None
    return f"403 role_required {guard.least.value}"


def _answers_to_keys(guard: CallerGuard) -> Iterator[tuple[str, str]]:
    if guard.scope is None:
        yield from dict.fromkeys(KEYS, "403 session_required").items()
        return
    yield "key_without", f"403 insufficient_scope {guard.scope}"
    if guard.scope in UNBOUND:
        yield "key_elsewhere", f"403 insufficient_scope {guard.scope}"
    elif KeyBoundToProjectError in guard.errors:
        yield "key_elsewhere", "403 key_bound_to_project"
    elif isinstance(guard, EntityGuard):
        yield "key_elsewhere", f"404 {guard.entity.missing.code}"
        if guard.least is None:
            yield "key_with", _too_weak(guard)


def _answers_to_own(guard: Guard) -> Iterator[tuple[str, str]]:
    if isinstance(guard, EntityGuard) and guard.own is not None:
        for role in Role:
            if not _is_enough(role, guard.least):
                yield role.value, "ok" if _is_enough(role, guard.own) else f"403 role_required {guard.own.value}"
        if guard.least is None:
            yield "admin", "ok"


def _hidden(guard: Guard) -> Iterator[tuple[str, SecretId]]:
    """The id that a guard admits to, from those who may not see what has it."""
    if isinstance(guard, EntityGuard):
        name = guard.entity.id_names[0]
        outsiders = ("stranger", "key_elsewhere")
        yield (
            name,
            SecretId(outsiders, lambda scenario: scenario.ids("owner")[name], f"404 {guard.entity.missing.code}"),
        )
