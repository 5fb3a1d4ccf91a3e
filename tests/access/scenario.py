"""A small scenario in which every kind of caller has a place, and what the features say of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy import text

from app.auth.manager import Authentication
from app.auth.models import ApiKey, Session, User
from app.auth.scopes import KEY_SCOPES
from app.auth.tokens import hashed, issue_access_token, issue_refresh_token, new_api_key
from app.core.database.database import Database
from app.core.database.models import Base
from app.features import ROUTERS
from app.projects.models import Project, Role
from tests.auth.factories import ApiKeyFactory, SessionFactory, UserFactory
from tests.projects.factories import MemberFactory, ProjectFactory
from tests.support.factories import store

PASSWORD = "correct horse battery"

PEOPLE = ("stranger", "viewer", "editor", "owner", "admin")
"""Who calls in a session that holds."""

KEYS = ("key_without", "key_with", "key_elsewhere")
"""The owner's keys: with every scope but the one needed, with that alone, and with all but for another project."""

NOBODY = ("anonymous", "expired", "garbage", "deactivated")
"""Who is nobody to the service. The deactivated person owns the project too, in a session that was not ended."""

ONE_TIME = "one_time"
"""An owner, too, who signed in by a one-time password and has not chosen another one."""

CALLERS = (*NOBODY, *PEOPLE, *KEYS, ONE_TIME)


@dataclass(frozen=True)
class StoredSamples:
    """Where a feature stores something of its own."""

    project: Project
    author: User
    """Whose it is, where it is anybody's."""

    member: User
    """Somebody in the project."""

    things: dict[str, Base] = field(default_factory=dict)
    """What the features below have stored there, and then this one, by what paths call its id."""


@dataclass
class Scenario:
    """Stored people, projects and what is in them, and the headers of every caller."""

    people: dict[str, User]
    here: StoredSamples
    """A project in which the callers have their roles."""

    beside: StoredSamples
    """More of the same in that project."""

    elsewhere: StoredSamples
    """In the owner's other project, in which nobody else is."""

    foreign: StoredSamples
    """In a project that only administrators and its own member see."""

    sessions: dict[str, Session]
    """A second session of each person."""

    keys: dict[str, ApiKey]
    """A key of each person that none of the callers uses."""

    headers: dict[str, dict[str, str]]
    refresh_token: str

    def ids(self, caller: str) -> dict[str, object]:
        """What paths name, unless a test names something else: what is there, and where it is somebody's, theirs."""
        person = person_of(caller)
        return {
            "project_id": self.here.project.id,
            "user_id": self.people["guest"].id,
            "username": self.people["guest"].username,
            "session_id": self.sessions[person].id,
            "key_id": self.keys[person].id,
            "code": "not_found",
            **ids_of(self.here),
        }

    def visible(self, caller: str) -> tuple[StoredSamples, ...]:
        """Where this caller sees what is there."""
        match caller:
            case "stranger":
                return ()
            case "viewer" | "editor":
                return self.here, self.beside
            case "key_elsewhere":
                return (self.elsewhere,)
            case "admin":
                return self.here, self.beside, self.elsewhere, self.foreign
        return self.here, self.beside, self.elsewhere


def person_of(caller: str) -> str:
    """For whom a caller acts: the keys are the owner's."""
    return caller if caller in PEOPLE else "owner"


def ids_of(place: StoredSamples) -> dict[str, object]:
    """The ids of what features have stored there."""
    # Whatever it is, it has an id.
    return {name: vars(thing)["id"] for name, thing in place.things.items()}


Value = Callable[[Scenario], object]


@dataclass(frozen=True)
class SecretId:
    """An id that these callers may not know to exist: its answer is that of an id which does not."""

    callers: tuple[str, ...]
    value: Value
    answer: str


@dataclass(frozen=True)
class AccessSamples:
    """What the matrix has to know of a feature and its routes and guards do not say: `SAMPLES` in
    `tests/<feature>/access.py`.
    """

    bodies: Mapping[str, Callable[[Scenario], dict[str, Any]]] = field(default_factory=dict)
    """By operation: a body that it takes."""

    ids: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """By operation: what its path names, where that is not what others name (`Scenario.ids`)."""

    hidden: Mapping[str, Mapping[str, SecretId]] = field(default_factory=dict)
    """By operation and input: every id that it takes, but for the one that its guard admits to."""

    things: Callable[[StoredSamples], Mapping[str, Base]] = lambda _: {}
    """Makes one of each kind that it has, by what paths call its id."""

    links: Callable[[StoredSamples], Sequence[Base]] = lambda _: ()
    """Makes what connects these."""


@cache
def access_samples() -> dict[str, AccessSamples]:
    """What each feature says, the lowest first."""
    names = dict.fromkeys(route.endpoint.__module__.split(".")[1] for router in ROUTERS for route in router.routes)
    found = [name for name in names if find_spec(f"tests.{name}.access")]
    return {name: import_module(f"tests.{name}.access").SAMPLES for name in found}


async def stored(database: Database, project: Project, author: User, member: User) -> StoredSamples:
    """Store one of each kind that the features have."""
    place = StoredSamples(project, author, member)
    for feature in access_samples().values():
        new = feature.things(place)
        await store(database, *new.values())
        place.things.update(new)
        await store(database, *feature.links(place))
    return place


async def new_scenario(app: FastAPI, scope: str | None) -> Scenario:
    """Store a scenario for an operation that needs this scope."""
    authentication, database = app.state.services[Authentication], app.state.services[Database]
    password = await authentication.passwords.hash(PASSWORD)
    names = (*PEOPLE, "deactivated", ONE_TIME, "guest", "other_owner", "other_admin", "foreigner")
    people = {
        name: UserFactory.build(
            hashed_password=password,
            is_superuser=name.endswith("admin"),
            is_active=name != "deactivated",
            password_state="spent" if name == ONE_TIME else "chosen",
        )
        for name in names
    }
    project, elsewhere, foreign = ProjectFactory.batch(3)
    roles = {
        "viewer": Role.VIEWER,
        "guest": Role.VIEWER,
        "editor": Role.EDITOR,
        "owner": Role.OWNER,
        "other_owner": Role.OWNER,
        ONE_TIME: Role.OWNER,
        "deactivated": Role.OWNER,
    }
    members = [
        MemberFactory.build(project_id=project.id, user_id=people[name].id, role=role.value)
        for name, role in roles.items()
    ]
    own = {name: SessionFactory.build(user_id=people[name].id) for name in (*PEOPLE, "deactivated", ONE_TIME)}
    spare = {name: SessionFactory.build(user_id=people[name].id) for name in PEOPLE}
    refresh_token = issue_refresh_token(authentication.ring, spare["owner"].id, 0)
    spare["owner"].refresh_hash = hashed(refresh_token)
    spare_keys = {
        name: ApiKeyFactory.build(user_id=people[name].id, secret_hash=hashed(new_api_key())) for name in PEOPLE
    }
    secrets = {name: new_api_key() for name in KEYS}
    every = {str(item) for item in KEY_SCOPES}
    write = (scope or "").replace(":read", ":write")
    given = {"key_without": every - {scope, write}, "key_with": {scope} if scope else every, "key_elsewhere": every}
    keys = [
        ApiKeyFactory.build(
            user_id=people["owner"].id,
            secret_hash=hashed(secrets[name]),
            scopes=sorted(given[name]),
            project_id=elsewhere.id if name == "key_elsewhere" else None,
        )
        for name in KEYS
    ]
    members += [
        MemberFactory.build(project_id=alone.id, user_id=people[name].id)
        for alone, name in ((elsewhere, "owner"), (foreign, "foreigner"))
    ]
    await store(database, *people.values(), project, elsewhere, foreign)
    await store(database, *members, *own.values(), *spare.values(), *spare_keys.values(), *keys)
    other_owner = people["other_owner"]
    here, beside = [await stored(database, project, other_owner, other_owner) for _ in range(2)]
    in_elsewhere = await stored(database, elsewhere, people["owner"], people["owner"])
    in_foreign = await stored(database, foreign, people["foreigner"], people["foreigner"])

    def bearer(name: str, expires_in: int = 3600) -> dict[str, str]:
        token = issue_access_token(authentication.ring, people[name].id, own[name].id, expires_in)
        return {"Authorization": f"Bearer {token}"}

    headers = {name: bearer(name) for name in own} | {name: {"X-API-Key": secrets[name]} for name in KEYS}
    headers |= {"anonymous": {}, "garbage": {"Authorization": "Bearer garbage"}, "expired": bearer("owner", -60)}
    return Scenario(people, here, beside, in_elsewhere, in_foreign, spare, spare_keys, headers, refresh_token)


# Attempts to sign in and requests are counted whether they are refused or not.
_COUNTED = {"attempts", "rate_counts"}


async def fingerprint(database: Database) -> object:
    """What there is in every table."""
    # When a key was used is written down meanwhile.
    parts = ", ".join(
        f"(SELECT md5(string_agg((to_jsonb(t) - 'last_used_at')::text, '' ORDER BY t::text)) FROM {name} t) AS {name}"
        for name in sorted(Base.metadata.tables.keys() - _COUNTED)
    )
    return await database.fetch_one_or_none(text(f"SELECT {parts}"))


def of_person(name: str) -> Value:
    """That person's id."""

    def value(scenario: Scenario) -> UUID:
        return scenario.people[name].id

    return value
