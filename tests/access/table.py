"""Who may do what, operation by operation: the rules of access as one table.

A row says what the five people who are signed in get, and the owner's three keys. Whoever is nobody gets 401, except
from operations that are public. `-` in the column of scopes: for sessions only. Whoever signed in by a one-time
password gets nothing but what is public and `CHOOSING`.
"""

from collections.abc import Callable
from typing import Any

from app.core.ids import uuid7
from tests.access.world import CALLERS, KEYS, NOBODY, ONE_TIME, PASSWORD, PEOPLE, Hidden, Row, World, of_person

TABLE = """
# operation             scope           stranger  viewer    editor    owner     admin     without with elsewhere
read_liveness           public          ok        ok        ok        ok        ok        ok          ok       ok
read_readiness          public          ok        ok        ok        ok        ok        ok          ok       ok
read_problem_kind       public          ok        ok        ok        ok        ok        ok          ok       ok
register                public          ok        ok        ok        ok        ok        ok          ok       ok
login                   public          ok        ok        ok        ok        ok        ok          ok       ok
refresh_tokens          public          ok        ok        ok        ok        ok        ok          ok       ok
logout                  -               ok        ok        ok        ok        ok        session     session  session
read_me                 account:read    ok        ok        ok        ok        ok        scope       ok       scope
update_me               account:write   ok        ok        ok        ok        ok        scope       ok       scope
delete_me               -               ok        ok        ok        ok        ok        session     session  session
list_sessions           account:read    ok        ok        ok        ok        ok        scope       ok       scope
delete_session          -               ok        ok        ok        ok        ok        session     session  session
delete_other_sessions   -               ok        ok        ok        ok        ok        session     session  session
list_api_keys           account:read    ok        ok        ok        ok        ok        scope       ok       scope
create_api_key          -               ok        ok        ok        ok        ok        session     session  session
read_api_key            account:read    ok        ok        ok        ok        ok        scope       ok       scope
delete_api_key          -               ok        ok        ok        ok        ok        session     session  session
list_users              -               is_admin  is_admin  is_admin  is_admin  ok        session     session  session
create_user             -               is_admin  is_admin  is_admin  is_admin  ok        session     session  session
read_user               -               is_admin  is_admin  is_admin  is_admin  ok        session     session  session
update_user             -               is_admin  is_admin  is_admin  is_admin  ok        session     session  session
read_person             members:read    ok        ok        ok        ok        ok        scope       ok       bound
list_projects           projects:read   ok        ok        ok        ok        ok        scope       ok       ok
create_project          projects:write  ok        ok        ok        ok        ok        scope       ok       bound
read_project            projects:read   project   ok        ok        ok        ok        scope       ok       project
update_project          projects:write  project   as_editor ok        ok        ok        scope       ok       project
patch_project           projects:write  project   as_editor ok        ok        ok        scope       ok       project
delete_project          projects:write  project   as_owner  as_owner  ok        ok        scope       ok       project
list_members            members:read    project   ok        ok        ok        ok        scope       ok       project
read_member             members:read    project   ok        ok        ok        ok        scope       ok       project
set_member              members:write   project   as_owner  as_owner  ok        ok        scope       ok       project
remove_member           members:write   project   as_owner  as_owner  ok        ok        scope       ok       project
list_tasks              tasks:read      project   ok        ok        ok        ok        scope       ok       project
create_task             tasks:write     project   as_editor ok        ok        ok        scope       ok       project
read_summary            tasks:read      project   ok        ok        ok        ok        scope       ok       project
batch_tasks             tasks:write     project   as_editor ok        ok        ok        scope       ok       project
list_visible_tasks      tasks:read      ok        ok        ok        ok        ok        scope       ok       ok
read_task               tasks:read      task      ok        ok        ok        ok        scope       ok       task
update_task             tasks:write     task      as_editor ok        ok        ok        scope       ok       task
patch_task              tasks:write     task      as_editor ok        ok        ok        scope       ok       task
delete_task             tasks:write     task      as_editor ok        ok        ok        scope       ok       task
"""

CHOOSING = frozenset({"read_me", "update_me", "logout"})
"""What serves to choose a password."""

WORDS = {
    "ok": "ok",
    "session": "403 session_required",
    "scope": "403 insufficient_scope {scope}",
    "is_admin": "403 admin_required",
    "bound": "403 key_bound_to_project",
    "as_editor": "403 role_required editor",
    "as_owner": "403 role_required owner",
    "project": "404 project_not_found",
    "task": "404 task_not_found",
}

BODIES: dict[str, Callable[[World], dict[str, Any]]] = {
    "register": lambda _: {"username": f"new-{uuid7().hex[-20:]}", "password": PASSWORD},
    "login": lambda world: {"username": world.people["owner"].username, "password": PASSWORD},
    "refresh_tokens": lambda world: {"refresh_token": world.refresh_token},
    "update_me": lambda _: {"password": "staple staple staple", "current_password": PASSWORD},
    "delete_me": lambda _: {"password": PASSWORD},
    "create_api_key": lambda _: {"name": "another", "scopes": ["tasks:read"]},
    "create_user": lambda _: {"username": f"new-{uuid7().hex[-20:]}"},
    "update_user": lambda _: {"is_active": False},
    "create_project": lambda _: {"name": "Workshop"},
    "update_project": lambda _: {"name": "Workshop"},
    "patch_project": lambda _: {"name": "Workshop"},
    "set_member": lambda _: {"role": "editor"},
    "create_task": lambda _: {"title": "Sweep"},
    "batch_tasks": lambda world: {"operations": [{"op": "update", "id": str(world.task.id), "changes": {}}]},
    "update_task": lambda _: {"title": "Sweep"},
    "patch_task": lambda _: {"title": "Sweep"},
}

_OUTSIDERS = ("stranger", "key_elsewhere")
_PROJECT = Hidden(_OUTSIDERS, lambda world: world.project.id, WORDS["project"])
_TASK = Hidden(_OUTSIDERS, lambda world: world.task.id, WORDS["task"])
_ELSEWHERE = Hidden(("editor",), lambda world: world.elsewhere.id, WORDS["project"])
_NO_MEMBER = Hidden(("owner", "admin", "key_with"), of_person("stranger"), "404 member_not_found")
_NO_USER = Hidden(("owner", "admin", "key_with"), of_person("deactivated"), "404 user_not_found")
_ADMINISTERED = Hidden(("stranger", "owner"), of_person("admin"), WORDS["is_admin"])

HIDDEN: dict[str, dict[str, Hidden]] = {
    "delete_session": {
        "session_id": Hidden(("owner", "admin"), lambda world: world.sessions["editor"].id, "404 session_not_found")
    },
    "create_api_key": {
        "project_id": Hidden(("stranger",), lambda world: world.project.id, "400 invalid_request"),
    },
    **{
        name: {"key_id": Hidden(("owner", "admin"), lambda world: world.keys["editor"].id, "404 api_key_not_found")}
        for name in ("read_api_key", "delete_api_key")
    },
    "read_user": {"user_id": _ADMINISTERED},
    "update_user": {"user_id": _ADMINISTERED},
    "read_person": {
        "username": Hidden(
            ("stranger", "owner", "admin"), lambda world: world.people["deactivated"].username, "404 user_not_found"
        )
    },
    **{
        name: {"project_id": _PROJECT}
        for name in (
            "read_project", "update_project", "patch_project", "delete_project",
            "list_members", "list_tasks", "read_summary", "create_task", "batch_tasks",
        )
    },
    "read_member": {"project_id": _PROJECT, "user_id": _NO_MEMBER},
    "set_member": {"project_id": _PROJECT, "user_id": _NO_USER},
    "remove_member": {"project_id": _PROJECT, "user_id": _NO_MEMBER},
    **{name: {"task_id": _TASK} for name in ("read_task", "delete_task")},
    **{name: {"task_id": _TASK, "project_id": _ELSEWHERE} for name in ("update_task", "patch_task")},
}  # fmt: skip


def rows() -> dict[str, Row]:
    """The table, by operation."""
    found = {}
    for line in TABLE.strip().splitlines()[1:]:
        name, scope, *words = line.split()
        needed = scope if ":" in scope else None
        answers = dict.fromkeys(CALLERS, "ok")
        if scope != "public":
            answers |= dict.fromkeys(NOBODY, "401 invalid_token") | {"anonymous": "401 not_authenticated"}
            answers[ONE_TIME] = "ok" if name in CHOOSING else "403 password_change_required"
        for caller, word in zip((*PEOPLE, *KEYS), words, strict=True):
            answers[caller] = WORDS[word].format(scope=needed)
        found[name] = Row(needed, answers, HIDDEN.get(name, {}), BODIES.get(name))
    return found
