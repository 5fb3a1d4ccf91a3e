"""The access matrix is shown to bite: each hole that is made in the rules of access turns it red."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from fastapi import FastAPI, Request
from sqlalchemy import BindParameter, ColumnElement, Uuid, insert, select, true, update

import app.auth.api_keys.queries
import app.auth.queries
import app.auth.sessions.service
import app.tasks.queries
from app.auth.access import Admin, CallerGuard, SignedIn, caller_of
from app.auth.errors import InsufficientScopeError
from app.auth.models import ApiKey, Session, User
from app.auth.ports import Ports
from app.auth.scopes import Caller
from app.core.config import Settings
from app.core.database.database import Database, Transaction
from app.core.database.statements import Rows, compiled_statements, param
from app.core.errors import AppError
from app.core.ids import uuid7
from app.core.preconditions.headers import PreconditionFailedError, preconditions_of
from app.main import create_app
from app.projects.access import EntityGuard
from app.projects.errors import RoleRequiredError
from app.projects.models import Project, Role
from app.projects.scopes import EntityScope, Permission, UuidColumn
from app.tasks.access import TaskGuard
from app.tasks.models import Task
from app.tasks.scopes import TaskScope
from tests.access.matrix import offences, operations_of
from tests.access.table import rows
from tests.support.openapi import DOCUMENT

pytestmark = pytest.mark.slow

OPERATIONS = operations_of(DOCUMENT)

Plant = Callable[[pytest.MonkeyPatch], None]

_on = Permission.on


@pytest.fixture(autouse=True)
def _statements_are_built_anew() -> Iterator[None]:
    compiled_statements.clear()
    yield
    compiled_statements.clear()


def everything_is_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Permission, "on", lambda *_: true())
    monkeypatch.setattr(Permission, "membership", lambda *_: true())


def roles_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Permission, "on", lambda permission, *ids: _on(replace(permission, least=Role.VIEWER), *ids))


def everything_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Permission,
        "on",
        lambda permission, *ids: _on(replace(permission, least=permission.own or permission.least, own=None), *ids),
    )


def nothing_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Permission, "on", lambda permission, *ids: _on(replace(permission, own=None), *ids))


def ids_in_bodies_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def on(permission: Permission, project_id: UuidColumn, *others: UuidColumn) -> ColumnElement[bool]:
        return true() if isinstance(project_id, BindParameter) else _on(permission, project_id, *others)

    monkeypatch.setattr(Permission, "on", on)


def keys_reach_every_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Permission, "on", lambda permission, *ids: _on(replace(permission, is_bound=False), *ids))


def scopes_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    async def authenticate(_: CallerGuard, request: Request) -> Caller:
        return await caller_of(request)

    monkeypatch.setattr(CallerGuard, "authenticate", authenticate)


def the_scope_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(self: InsufficientScopeError, _: str) -> None:
        AppError.__init__(self)

    monkeypatch.setattr(InsufficientScopeError, "__init__", nameless)


def everybody_administers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Admin, "authenticate", SignedIn.authenticate)


def the_body_is_judged_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def authorize(_: CallerGuard, request: Request) -> None:
        await caller_of(request)

    monkeypatch.setattr(EntityGuard, "authorize", authorize)


def strangers_learn_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Permission, "on", lambda permission, *ids: true() if permission.least is Role.VIEWER else _on(permission, *ids)
    )


def preconditions_are_judged_first(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = EntityScope.refusal

    async def judged(self: EntityScope, database: Database, *target: UUID) -> AppError:
        everywhere = replace(self.permission, is_superuser=True)
        row = await database.fetch_one_or_none(self.entity.access_of(everywhere), self.parameters)
        if row and self.preconditions and (unmet := self.preconditions.refusal(row["etag"])):
            return unmet
        return await refusal(self, database, *target)

    monkeypatch.setattr(EntityScope, "refusal", judged)


def preconditions_are_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    scope_of = TaskGuard.scope_of

    def judged(self: TaskGuard, request: Request, caller: Caller, *ids: UUID) -> TaskScope:
        if self.is_conditional and preconditions_of(request).match.kind == "tags":
            raise PreconditionFailedError('"t1"')
        return scope_of(self, request, caller, *ids)

    monkeypatch.setattr(TaskGuard, "scope_of", judged)


def the_deactivated_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = inspect.unwrap(app.auth.queries.live_session)().selected_columns

    def live_session() -> Rows:
        of_session = Session.id == param("session_id", Uuid)
        return select(*columns).join(Session, Session.user_id == User.id).where(of_session)

    monkeypatch.setattr(app.auth.queries, "live_session", live_session)


def one_time_passwords_are_as_good_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticate = CallerGuard.authenticate

    async def admitted(self: CallerGuard, request: Request) -> Caller:
        monkeypatch.setattr(self, "for_choosing", True)
        return await authenticate(self, request)

    monkeypatch.setattr(CallerGuard, "authenticate", admitted)


def everybodys_keys_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def api_key() -> Rows:
        return select(*app.auth.api_keys.queries.API_KEY).where(ApiKey.id == param("key_id", Uuid))

    monkeypatch.setattr(app.auth.api_keys.queries, "api_key", api_key)


def everybodys_sessions_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def end_session(database: Database, _: Caller, session_id: UUID) -> None:
        await database.execute(update(Session).where(Session.id == session_id).values(revoked_at=Session.created_at))

    monkeypatch.setattr(app.auth.sessions.service, "end_session", end_session)


def keys_are_bound_to_any_project(monkeypatch: pytest.MonkeyPatch) -> None:
    async def visible(transaction: Transaction, user_id: UUID, project_id: UUID) -> bool:
        return await transaction.fetch_one_or_none(select(Project.id).where(Project.id == project_id)) is not None

    monkeypatch.setattr("app.main.PORTS", Ports(closing_steps=(), project_visible=visible))


def lists_forget_their_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.tasks.queries, "_is_in", lambda *_, **__: Task.id.is_not(None))


def a_refusal_is_not_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoleRequiredError, "code", "never_heard_of")


def a_refusal_has_no_title(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoleRequiredError, "title", None)


def answers_have_no_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.http.middleware._lines", lambda *_: b"")


def refusals_leave_something(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = EntityScope.refusal

    async def noted(self: EntityScope, database: Database, *target: UUID) -> AppError:
        await database.execute(insert(Project).values(id=uuid7(), name="Refused"))
        return await refusal(self, database, *target)

    monkeypatch.setattr(EntityScope, "refusal", noted)


HOLES: list[tuple[Plant, str, str]] = [
    (everything_is_permitted, "read_project", "stranger with nothing wrong: ok instead of 404 project_not_found"),
    (everything_is_permitted, "delete_task", "stranger with nothing wrong: ok"),
    (roles_do_not_matter, "update_task", "viewer with nothing wrong: ok instead of 403 role_required editor"),
    (roles_do_not_matter, "set_member", "editor with nothing wrong: ok instead of 403 role_required owner"),
    (nothing_is_ones_own, "remove_member", "editor about their own: 404 member_not_found instead of ok"),
    (everything_is_ones_own, "remove_member", "viewer with nothing wrong: ok instead of 403 role_required owner"),
    (ids_in_bodies_are_trusted, "update_task", "editor with nothing wrong can tell by project_id: ok / 404"),
    (ids_in_bodies_are_trusted, "patch_task", "editor with nothing wrong can tell by project_id: ok / 404"),
    (keys_reach_every_project, "list_tasks", "key_elsewhere with nothing wrong: ok instead of 404 project_not_found"),
    (scopes_do_not_matter, "create_task", "key_without with nothing wrong: ok instead of 403 insufficient_scope"),
    (scopes_do_not_matter, "create_api_key", "key_with with nothing wrong: ok instead of 403 session_required"),
    (the_scope_is_not_named, "read_me", "403 insufficient_scope instead of 403 insufficient_scope account:read"),
    (everybody_administers, "update_user", "owner with broken JSON: 400 invalid_json instead of 403 admin_required"),
    (the_body_is_judged_first, "create_task", "stranger with broken JSON: 400 invalid_json instead of 404"),
    (the_body_is_judged_first, "patch_task", "another media type: 415 unsupported_media_type instead of 403"),
    (the_body_is_judged_first, "read_project", "an unknown parameter: 400 invalid_request instead of 404"),
    (preconditions_are_judged_first, "update_task", "viewer with a precondition that does not hold: 412"),
    (preconditions_are_judged_first, "delete_project", "stranger with a precondition that does not hold: 412"),
    (preconditions_are_read_first, "patch_task", "stranger with a precondition that does not hold: 412"),
    (strangers_learn_what_exists, "delete_project", "stranger with nothing wrong can tell by project_id"),
    (lists_forget_their_project, "list_tasks", "viewer is shown what is not in this list, or not theirs to see"),
    (lists_forget_their_project, "list_visible_tasks", "editor is shown what is not in this list"),
    (a_refusal_is_not_declared, "update_task", "answers 403 never_heard_of, and does not declare it"),
    (a_refusal_has_no_title, "update_task", "answers 403 role_required with a body that is not as declared: "),
    (answers_have_no_request_id, "read_task", "answers 200 without the header X-Request-ID"),
    (refusals_leave_something, "read_task", "something was changed by a request that was refused"),
    (the_deactivated_may_call, "read_task", "deactivated with nothing wrong: ok instead of 401 invalid_token"),
    (one_time_passwords_are_as_good_as_others, "create_task", "one_time with nothing wrong: ok instead of 403"),
    (everybodys_keys_are_read, "read_api_key", "owner with nothing wrong can tell by key_id: ok / 404"),
    (everybodys_sessions_are_ended, "delete_session", "owner by session_id: ok instead of 404 session_not_found"),
    (keys_are_bound_to_any_project, "create_api_key", "stranger with nothing wrong can tell by project_id: ok / 400"),
]


@pytest.mark.parametrize(
    ("plant", "name", "line"), HOLES, ids=[f"{getattr(plant, '__name__', '')}-{name}" for plant, name, _ in HOLES]
)
async def test_a_planted_hole_turns_the_matrix_red(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, plant: Plant, name: str, line: str
) -> None:
    operation, row = OPERATIONS[name], rows()[name]
    plant(monkeypatch)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        found = await offences(app, operation, row, until=line)
    assert any(line in offence for offence in found), found


async def test_row_that_lacks_an_id_fails(app: FastAPI, database: Database) -> None:
    operation, row = OPERATIONS["set_member"], rows()["set_member"]
    short = replace(row, hidden={"user_id": row.hidden["user_id"]})
    assert any("takes the ids" in offence for offence in await offences(app, operation, short))
