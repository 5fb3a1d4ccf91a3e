"""The README's tour by the generated Python client, the package `taller_client` beside: `python tour.py ADDRESS`."""

import importlib
import pkgutil
import sys
from datetime import date, datetime, timedelta

import taller_client.api
from taller_client import AuthenticatedClient, Client
from taller_client.api.auth import create_api_key, login, logout, refresh_tokens, register
from taller_client.api.projects import create_project, list_projects, read_project, set_member
from taller_client.api.tasks import (
    batch_tasks,
    create_task,
    delete_task,
    list_tasks,
    list_visible_tasks,
    patch_task,
    update_task,
)
from taller_client.api.users import read_person
from taller_client.models import (
    ApiKeyCreate,
    ApiKeyIssued,
    CreateOperation,
    Credentials,
    FieldError,
    MemberRead,
    MemberSet,
    PersonRead,
    Problem,
    ProjectCreate,
    ProjectPage,
    ProjectRead,
    Refresh,
    Registration,
    Role,
    Scope,
    TaskBatch,
    TaskBatchResult,
    TaskChanges,
    TaskCreate,
    TaskPage,
    TaskRead,
    TaskUpdate,
    Tokens,
    UpdateOperation,
)

ADDRESS = sys.argv[1]
SOON = datetime.now().astimezone() + timedelta(hours=1)
ANONYMOUS = Client(base_url=ADDRESS, raise_on_unexpected_status=True)


def signed_in(token: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=ADDRESS, token=token, raise_on_unexpected_status=True)


def tokens_of(username: str, password: str) -> Tokens:
    tokens = login.sync(client=ANONYMOUS, body=Credentials(username=username, password=password))
    assert isinstance(tokens, Tokens), tokens
    return tokens


def titles(page: object) -> list[str]:
    assert isinstance(page, TaskPage), page
    return [item.title for item in page.items]


# Every operation can be imported.
for module in pkgutil.walk_packages(taller_client.api.__path__, "taller_client.api."):
    importlib.import_module(module.name)

# Signing in.
tokens = tokens_of("admin", "1234")
admin = signed_in(tokens.access_token)

# A project, once, however often it is sent.
workshop = ProjectCreate(name="Workshop")
project = create_project.sync(client=admin, body=workshop, idempotency_key="openapi-python-client")
assert isinstance(project, ProjectRead), project
assert create_project.sync(client=admin, body=workshop, idempotency_key="openapi-python-client") == project
assert read_project.sync(project.id, client=admin) == project
assert (project.name, project.role, project.tasks_total) == ("Workshop", Role.OWNER, 0)

# Tasks.
for new in (
    TaskCreate(title="Sweep the floor"),
    TaskCreate(title="Sharpen the chisels", priority=5),
    TaskCreate(title="Buy a workbench", priority=10, due_date=date(2026, 12, 1)),
):
    task = create_task.sync(project.id, client=admin, body=new)
    assert isinstance(task, TaskRead), task
assert task.due_date == date(2026, 12, 1)

# Listed by priority, page by page, and by cursor.
first = list_tasks.sync(project.id, client=admin, page=1, size=2)
assert titles(first) == ["Buy a workbench", "Sharpen the chisels"]
assert (first.page, first.pages, first.total) == (1, 2, 3)
assert titles(list_tasks.sync(project.id, client=admin, page=2, size=2)) == ["Sweep the floor"]

cursor, found = "", []
while cursor is not None:
    page = list_tasks.sync(project.id, client=admin, cursor=cursor, size=2)
    found += [titles(page)]
    cursor = page.next_cursor
assert found == [["Buy a workbench", "Sharpen the chisels"], ["Sweep the floor"]]

# Sorted, filtered.
assert titles(list_tasks.sync(project.id, client=admin, sort="-title")) == [
    *("Sweep the floor", "Sharpen the chisels", "Buy a workbench")
]
assert titles(list_tasks.sync(project.id, client=admin, priority_gte=5, due_date_is_null=True)) == [
    "Sharpen the chisels"
]
assert titles(
    list_tasks.sync(
        project.id, client=admin, due_date=date(2026, 12, 1), created_at_gte=task.created_at, created_at_lt=SOON
    )
) == ["Buy a workbench"]

# A change leaves everything else as it is; what it was sent with is a condition.
changed = update_task.sync(task.id, client=admin, body=TaskUpdate(completed=True), if_match=task.etag)
assert isinstance(changed, TaskRead), changed
assert (changed.completed, changed.priority, changed.due_date) == (True, 10, task.due_date)
late = update_task.sync(task.id, client=admin, body=TaskUpdate(completed=False), if_match=task.etag)
assert isinstance(late, Problem), late
assert (late.status, late.code) == (412, "precondition_failed")

cleared = patch_task.sync(task.id, client=admin, body=TaskUpdate(due_date=None))
assert isinstance(cleared, TaskRead), cleared
assert (cleared.completed, cleared.due_date) == (True, None)

# Several at once.
batch = TaskBatch(
    operations=[
        CreateOperation(op="create", task=TaskCreate(title="Sort the screws")),
        UpdateOperation(
            op="update", id=task.id, changes=TaskChanges(due_date=date(2026, 12, 1)), if_match=cleared.etag
        ),
    ]
)
done = batch_tasks.sync(project.id, client=admin, body=batch)
assert isinstance(done, TaskBatchResult), done
created, updated = done.results
assert (created.status, updated.status, updated.task.due_date) == (201, 200, date(2026, 12, 1))
assert delete_task.sync_detailed(created.task.id, client=admin).status_code == 204

# An error.
refused = update_task.sync(task.id, client=admin, body=TaskUpdate(priority="high"))
assert isinstance(refused, Problem), refused
assert (refused.status, refused.code, refused.type_) == (400, "invalid_request", "/problems/invalid_request")
(error,) = refused.errors
assert isinstance(error, FieldError)
assert (error.pointer, error.code) == ("/priority", "int_type")

# Sharing.
ana = register.sync(client=ANONYMOUS, body=Registration(username="ana", password="correct horse battery"))
assert ana.username == "ana", ana
person = read_person.sync("ana", client=admin)
assert isinstance(person, PersonRead), person
member = set_member.sync(project.id, person.id, client=admin, body=MemberSet(role=Role.EDITOR))
assert isinstance(member, MemberRead), member
assert (member.username, member.role) == ("ana", Role.EDITOR)
hers = signed_in(tokens_of("ana", "correct horse battery").access_token)
shared = list_projects.sync(client=hers)
assert isinstance(shared, ProjectPage), shared
assert [(item.name, item.role, item.tasks_total, item.tasks_completed) for item in shared.items] == [
    ("Workshop", Role.EDITOR, 3, 1)
]
oiled = create_task.sync(project.id, client=hers, body=TaskCreate(title="Oil the bench", priority=7))
assert isinstance(oiled, TaskRead), oiled

# An API key.
key = create_api_key.sync(
    client=admin, body=ApiKeyCreate(name="nightly report", scopes=[Scope.TASKSREAD], expires_at=SOON)
)
assert isinstance(key, ApiKeyIssued), key
assert key.expires_at == SOON
program = AuthenticatedClient(base_url=ADDRESS, token=key.secret, prefix="", auth_header_name="X-API-Key")
assert titles(list_visible_tasks.sync(client=program, size=3, project_id=[project.id])) == [
    *("Buy a workbench", "Oil the bench", "Sharpen the chisels")
]
forbidden = delete_task.sync(task.id, client=program)
assert isinstance(forbidden, Problem), forbidden
assert (forbidden.status, forbidden.code) == (403, "insufficient_scope")

# Staying, and leaving.
renewed = refresh_tokens.sync(client=ANONYMOUS, body=Refresh(refresh_token=tokens.refresh_token))
assert isinstance(renewed, Tokens), renewed
again = signed_in(renewed.access_token)
assert logout.sync_detailed(client=again).status_code == 204
gone = list_projects.sync(client=again)
assert isinstance(gone, Problem), gone
assert (gone.status, gone.code) == (401, "invalid_token")
