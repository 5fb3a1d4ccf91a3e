"""A small world in which every kind of caller has a place, and the check of one operation against its row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import text

from app.auth.manager import Authentication
from app.auth.models import ApiKey, Session, User
from app.auth.scopes import KEY_SCOPES
from app.auth.tokens import hashed, issue_access_token, issue_refresh_token, new_api_key
from app.core.database.database import Database
from app.core.ids import uuid7
from app.core.preconditions.headers import IF_MATCH
from app.projects.models import Project, Role
from app.tasks.models import Task
from tests.auth.factories import ApiKeyFactory, SessionFactory, UserFactory
from tests.projects.factories import MemberFactory, ProjectFactory
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

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


@dataclass
class World:
    """Stored people, a shared project with a task, and the headers of every caller."""

    people: dict[str, User]
    project: Project
    elsewhere: Project
    """The owner's alone."""

    task: Task
    sessions: dict[str, Session]
    """A second session of each person."""

    keys: dict[str, ApiKey]
    """A key of each person that none of the callers uses."""

    headers: dict[str, dict[str, str]]
    refresh_token: str


async def new_world(app: FastAPI, scope: str | None) -> World:
    """Store a world for an operation that needs this scope."""
    authentication, database = app.state.services[Authentication], app.state.services[Database]
    password = await authentication.passwords.hash(PASSWORD)
    names = (*PEOPLE, "deactivated", ONE_TIME, "guest", "other_owner", "other_admin")
    people = {
        name: UserFactory.build(
            hashed_password=password,
            is_superuser=name.endswith("admin"),
            is_active=name != "deactivated",
            password_state="spent" if name == ONE_TIME else "chosen",
        )
        for name in names
    }
    project, elsewhere = ProjectFactory.build(), ProjectFactory.build()
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
    task = TaskFactory.build(project_id=project.id)
    own = {name: SessionFactory.build(user_id=people[name].id) for name in (*PEOPLE, "deactivated", ONE_TIME)}
    spare = {name: SessionFactory.build(user_id=people[name].id) for name in PEOPLE}
    refresh_token = issue_refresh_token(authentication.ring, spare["owner"].id, 0)
    spare["owner"].refresh_hash = hashed(refresh_token)
    spare_keys = {
        name: ApiKeyFactory.build(user_id=people[name].id, secret_hash=hashed(new_api_key())) for name in PEOPLE
    }
    secrets = {name: new_api_key() for name in KEYS}
    every = set(KEY_SCOPES)
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
    alone = MemberFactory.build(project_id=elsewhere.id, user_id=people["owner"].id)
    await store(database, *people.values(), project, elsewhere)
    await store(database, *members, alone, task, *own.values(), *spare.values(), *spare_keys.values(), *keys)

    def bearer(name: str, expires_in: int = 3600) -> dict[str, str]:
        token = issue_access_token(authentication.ring, people[name].id, own[name].id, expires_in)
        return {"Authorization": f"Bearer {token}"}

    headers = {name: bearer(name) for name in own} | {name: {"X-API-Key": secrets[name]} for name in KEYS}
    headers |= {"anonymous": {}, "garbage": {"Authorization": "Bearer garbage"}, "expired": bearer("owner", -60)}
    return World(people, project, elsewhere, task, spare, spare_keys, headers, refresh_token)


Value = Callable[[World], object]


@dataclass(frozen=True)
class Hidden:
    """An id that these callers may not know to exist: its answer is that of an id which does not."""

    callers: tuple[str, ...]
    value: Value
    answer: str


@dataclass(frozen=True)
class Row:
    """What an operation answers each caller."""

    scope: str | None
    answers: Mapping[str, str]
    """By caller: `ok`, or the status, the code and what the refusal names."""

    hidden: Mapping[str, Hidden] = field(default_factory=dict)
    """By input: every one that carries an id."""

    body: Callable[[World], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Operation:
    """An operation of the OpenAPI document."""

    name: str
    method: str
    path: str
    scope: str | None
    is_public: bool
    body: Mapping[str, Any]
    """The properties of its JSON body."""

    id_inputs: frozenset[str]
    takes_body: bool
    takes_preconditions: bool


def operations_of(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Every operation, by its id."""
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = resolved(document, content.get("application/json", {}).get("schema", {}))
            properties = schema.get("properties", {})
            parameters = operation.get("parameters", [])
            ids = {item["name"] for item in parameters if item["name"] == "username" or _is_id(item["schema"])}
            ids |= {name for name, property_ in properties.items() if name.endswith("_id") or _is_id(property_)}
            security = operation.get("security", [])
            scopes = {scope for way in security for scopes in way.values() for scope in scopes}
            assert len(scopes) <= 1, f"{operation['operationId']} needs {scopes}"
            found[operation["operationId"]] = Operation(
                name=operation["operationId"],
                method=method.upper(),
                path=path,
                scope=next(iter(scopes), None),
                is_public=not security,
                body=properties,
                id_inputs=frozenset(ids),
                takes_body=bool(content),
                takes_preconditions=any(item["name"] == IF_MATCH for item in parameters),
            )
    return found


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference names, or the schema itself."""
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _is_id(schema: Mapping[str, Any]) -> bool:
    return any(part.get("format") == "uuid" for part in (schema, *schema.get("anyOf", ())))


# What is wrong with a request besides who sends it. Only the last applies where there is no body.
BROKEN: dict[str, dict[str, Any]] = {
    "broken JSON": {"content": b"{", "headers": {"Content-Type": "application/json"}},
    "no object": {"content": b"[1]", "headers": {"Content-Type": "application/json"}},
    "an unknown member": {"json": {"nonsense": 1}},
    "another media type": {"content": b"x", "headers": {"Content-Type": "text/plain"}},
    "an unknown parameter": {"params": {"nonsense": "1"}},
}
UNMET: dict[str, dict[str, Any]] = {
    "a malformed precondition": {"headers": {"If-Match": "nonsense"}},
    "a precondition that does not hold": {"headers": {"If-Match": '"nonsense"'}},
}
"""Where the operation looks at preconditions."""


async def offences(app: FastAPI, operation: Operation, row: Row) -> list[str]:
    """Where an operation answers otherwise than its row says, one line each."""
    found = _disagreements(operation, row)
    async with Api(app) as api:
        world = await new_world(app, row.scope)
        before = await fingerprint(app.state.services[Database])
        found += await _refused(api, operation, row, world)
        found += [line for name in row.hidden for line in await _tells(api, operation, row, world, name)]
        found += await _not_understood(api, operation, row, world)
        if await fingerprint(app.state.services[Database]) != before:
            found.append(f"{operation.name}: something was changed by a request that was refused")
        for caller in [caller for caller, answer in row.answers.items() if answer == "ok"]:
            if operation.method != "GET":
                world = await new_world(app, row.scope)
            found += await _compared(api, operation, row, world, caller)
    return found


async def _refused(api: Api, operation: Operation, row: Row, world: World) -> list[str]:
    """Whoever is refused is refused in the same way, whatever else is wrong with the request."""
    found = []
    for caller in (caller for caller, answer in row.answers.items() if answer != "ok"):
        for name, options in _requests(operation, row, world):
            found += await _compared(api, operation, row, world, caller, name, options)
    return found


async def _not_understood(api: Api, operation: Operation, row: Row, world: World) -> list[str]:
    """Whoever is admitted is told what is wrong with the request: what is sent as wrong is wrong."""
    found = []
    for caller in (caller for caller, answer in row.answers.items() if answer == "ok"):
        for name, options in _requests(operation, row, world)[1:]:
            answer = await ask(api, operation, world, caller, options)
            if answer.status_code not in {400, 412, 415}:
                found.append(f"{operation.name}: {caller} with {name}: {said(answer)} instead of a complaint")
    return found


async def _compared(
    api: Api,
    operation: Operation,
    row: Row,
    world: World,
    caller: str,
    name: str = "nothing wrong",
    options: dict[str, Any] | None = None,
) -> list[str]:
    answer = await ask(api, operation, world, caller, _whole(row, world) if options is None else options)
    if (was := said(answer)) == row.answers[caller]:
        return []
    return [f"{operation.name}: {caller} with {name}: {was} instead of {row.answers[caller]}"]


def _disagreements(operation: Operation, row: Row) -> list[str]:
    found = []
    if operation.scope != row.scope:
        found.append(f"{operation.name}: documents the scope {operation.scope} instead of {row.scope}")
    if operation.id_inputs != set(row.hidden):
        found.append(f"{operation.name}: takes the ids {set(operation.id_inputs)}, and its row knows {set(row.hidden)}")
    if set(row.answers) != set(CALLERS):
        found.append(f"{operation.name}: its row forgets {set(CALLERS) - set(row.answers)}")
    return found


def _whole(row: Row, world: World) -> dict[str, Any]:
    return {} if row.body is None else {"json": row.body(world)}


def _requests(operation: Operation, row: Row, world: World) -> list[tuple[str, dict[str, Any]]]:
    """The request as it should be, and then with everything that can be wrong with it."""
    whole = _whole(row, world)
    broken = [("an unknown parameter", whole | BROKEN["an unknown parameter"])]
    if operation.takes_body:
        broken = [(name, whole | options if "params" in options else options) for name, options in BROKEN.items()]
    if operation.takes_preconditions:
        broken += [(name, whole | options) for name, options in UNMET.items()]
    return [("nothing wrong", whole), *broken]


async def _tells(api: Api, operation: Operation, row: Row, world: World, name: str) -> list[str]:
    """Where an answer depends on whether something exists that the caller may not know of."""
    hidden, found = row.hidden[name], []
    for caller in hidden.callers:
        for wrong, options in _requests(operation, row, world):
            answers = []
            for value in (hidden.value(world), f"nobody-{uuid7()}"[:32] if name == "username" else uuid7()):
                request = dict(options)
                if f"{{{name}}}" not in operation.path and "json" in request:
                    request["json"] = request["json"] | {name: str(value)}
                answers.append(await ask(api, operation, world, caller, request, {name: value}))
            there, missing = answers
            if (there.status_code, stripped(there)) != (missing.status_code, stripped(missing)):
                found.append(
                    f"{operation.name}: {caller} with {wrong} can tell by {name}: {said(there)} / {said(missing)}"
                )
            elif wrong == "nothing wrong" and said(there) != hidden.answer:
                found.append(f"{operation.name}: {caller} by {name}: {said(there)} instead of {hidden.answer}")
    return found


async def ask(
    api: Api,
    operation: Operation,
    world: World,
    caller: str,
    options: dict[str, Any],
    ids: Mapping[str, object] | None = None,
) -> Response:
    """The answer to a request by this caller, about what is in the world unless `ids` name other things."""
    person = caller if caller in PEOPLE else "owner"
    values: dict[str, object] = {
        "project_id": world.project.id,
        "task_id": world.task.id,
        "user_id": world.people["guest"].id,
        "username": world.people["guest"].username,
        "session_id": world.sessions[person].id,
        "key_id": world.keys[person].id,
        "code": "not_found",
        **(ids or {}),
    }
    headers = {**world.headers[caller], **options.get("headers", {})}
    return await api.request(operation.method, operation.path.format_map(values), **{**options, "headers": headers})


def said(answer: Response) -> str:
    """An answer in the words of the table."""
    if answer.is_success:
        return "ok"
    problem = answer.json()
    words = [str(answer.status_code), problem["code"]]
    if answer.status_code == 401 and not answer.headers.get("www-authenticate", "").startswith("Bearer"):
        words.append("without WWW-Authenticate")
    if problem["code"] == "insufficient_scope":
        words.append(answer.headers.get("www-authenticate", "").partition('scope="')[2].rstrip('"'))
    if problem["code"] == "role_required":
        words.append(problem["detail"].partition("the role ")[2].partition(" ")[0])
    return " ".join(filter(None, words))


def stripped(answer: Response) -> dict[str, Any] | None:
    """The body without what differs by the address asked for."""
    if not answer.content:
        return None
    return {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}


async def fingerprint(database: Database) -> object:
    """What people, projects, members and tasks there are."""
    tables = ("users", "projects", "project_members", "tasks")
    parts = ", ".join(
        f"(SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t) AS {table}" for table in tables
    )
    keys = "(SELECT count(*) FROM api_keys) AS keys, (SELECT count(*) FROM sessions WHERE revoked_at IS NULL) AS live"
    return await database.row(text(f"SELECT {parts}, {keys}"))


def of_person(name: str) -> Value:
    """That person's id."""

    def value(world: World) -> UUID:
        return world.people[name].id

    return value
