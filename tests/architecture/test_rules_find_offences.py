"""Each rule of this folder is shown to bite: an offence planted in a copy of the tree turns it red."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import Depends
from fastapi.routing import APIRoute

from app.auth.models import User
from app.core.config import Settings
from app.core.guards import Public, UnguardedRouteError, refuse_unguarded_routes
from app.core.http.routing import FeatureRouter
from app.features import ROUTERS
from app.projects.access import ReadableProject
from app.projects.scopes import PROJECT
from app.tasks.scopes import TASK
from tests.architecture import documents, routes, rules
from tests.architecture.planting import Offence, planted
from tests.architecture.source import ROOT

Rule = Callable[[Path], list[str]]

SERVICE, ROUTER, QUERIES = "app/tasks/service.py", "app/tasks/router.py", "app/tasks/queries.py"

# In two pieces, because the rules read this file as well.
UNREAD, HOW_TO = "TALLER_TEST_" + "COLOUR", "docs/how-to"
UNWRITTEN = f"{HOW_TO}/unwritten.md"

PLANTED: list[tuple[Rule, Offence, str]] = [
    (rules.private_modules, Offence(SERVICE, "from app.projects import queries"), "imports projects.queries"),
    (rules.private_modules, Offence(SERVICE, "from app.projects.service import create"), "imports projects.service"),
    (rules.private_modules, Offence(QUERIES, "import app.auth.manager"), "imports auth.manager"),
    (rules.private_modules, Offence(QUERIES, "import app.auth"), "imports auth: import one"),
    (
        rules.private_modules,
        Offence(QUERIES, "def f():\n    from app.auth.queries import user_by_id"),
        "imports auth.queries",
    ),
    (rules.private_modules, Offence(QUERIES, "from ..auth import queries"), "imports relatively"),
    (rules.commits, Offence(SERVICE, "async def f(session):\n    await session.commit()"), "uses .commit"),
    (
        rules.commits,
        Offence("app/core/listing/pagination.py", "async def f(s):\n    async with s.begin(): ..."),
        "uses .begin",
    ),
    (rules.commits, Offence(ROUTER, "async def f(d):\n    await d.rollback()"), "uses .rollback"),
    (
        rules.unrepeated_transactions,
        Offence(SERVICE, "async def f(d):\n    async with d.by_value.transaction() as t: ..."),
        "needs `@repeated_if_undone`",
    ),
    (rules.selects, Offence(SERVICE, "def f():\n    return select(Task.id)"), "selects outside"),
    (rules.selects, Offence(ROUTER, "import sqlalchemy as sa\nsa.select(1)"), "selects outside"),
    (rules.selects, Offence(ROUTER, "from sqlalchemy import select as pick\npick(1)"), "selects outside"),
    (rules.selects, Offence(ROUTER, "text('SELECT title FROM tasks')"), "selects outside"),
    (rules.clocks, Offence(SERVICE, "from datetime import datetime, UTC\ndatetime.now(UTC)"), "datetime.now"),
    (rules.clocks, Offence(SERVICE, "import datetime as d\nd.datetime.utcnow()"), "datetime.utcnow"),
    (rules.clocks, Offence("app/core/ids.py", "from datetime import date\ndate.today()"), "date.today"),
    (rules.clocks, Offence("app/core/ids.py", "import time\ntime.time()"), "time.time"),
    (
        rules.long_test_names,
        Offence("tests/tasks/test_update.py", f"def {'_'.join(['test', *['word'] * 11])}() -> None: ..."),
        "has more than 10 words",
    ),
    (rules.prints, Offence("app/main.py", "print('started')"), "prints"),
    (rules.prints, Offence(SERVICE, "import sys\nsys.stderr.write('here')"), "prints"),
    (
        rules.scopes_made_elsewhere,
        Offence(ROUTER, "from app.tasks.scopes import TaskScope\nTaskScope(1, 2)"),
        "makes TaskScope: tasks.access does that",
    ),
    (
        rules.scopes_made_elsewhere,
        Offence("app/tasks/access.py", "from app.projects import scopes\nscopes.ProjectScope(1, 2)"),
        "makes ProjectScope: projects.access does that",
    ),
    (
        rules.scopes_made_elsewhere,
        Offence("app/tasks/scopes.py", "def f():\n    return TaskScope(1, 2)"),
        "makes TaskScope",
    ),
    (
        rules.scopes_made_elsewhere,
        Offence(ROUTER, "from app.auth.scopes import Caller\nCaller()"),
        "makes Caller: auth.callers does that",
    ),
    (
        rules.scopes_made_elsewhere,
        Offence(SERVICE, "from dataclasses import replace\nreplace(scope, task_id=1)"),
        "makes a changed copy",
    ),
    (
        rules.bypassed_aliases,
        Offence(
            ROUTER,
            "from fastapi import Depends\nfrom app.core.database.database import get_database\nDepends(get_database)",
        ),
        "past its alias",
    ),
    (
        rules.bypassed_aliases,
        Offence(
            ROUTER,
            "import fastapi\nfrom app.core.database import database\nfastapi.Depends(dependency=database._session)",
        ),
        "past its alias",
    ),
    (
        rules.bypassed_aliases,
        Offence(
            ROUTER,
            "from app.core.database.database import Database\ndef f(request):\n    services_of(request)[Database]",
        ),
        "takes the database from the services",
    ),
    (rules.slow_middleware, Offence("app/main.py", "from starlette.middleware.base import BaseHTTPMiddleware"), "Base"),
    (
        rules.slow_middleware,
        Offence("app/main.py", "import starlette.middleware.base as b\nb.BaseHTTPMiddleware"),
        "Base",
    ),
    (
        rules.slow_middleware,
        Offence("app/main.py", "def f(app):\n    @app.middleware('http')\n    def g(): ..."),
        "Base",
    ),
    (rules.private_names_of_libraries, Offence(SERVICE, "def f(field): field._type_adapter"), "uses _type_adapter"),
    (rules.private_names_of_libraries, Offence(SERVICE, "def f(app): return app._startup()"), "uses _startup of a lib"),
    (rules.anonymous_errors, Offence(ROUTER, "from fastapi import HTTPException as E\nraise E"), "raises HTTP"),
    (rules.anonymous_errors, Offence(SERVICE, "import fastapi\nerror = fastapi.HTTPException(404)"), "raises HTTP"),
    (rules.anonymous_errors, Offence(SERVICE, "class LateError(Exception): ..."), "defines LateError outside errors"),
    (rules.path_ids_read_elsewhere, Offence(ROUTER, "def f(request):\n    request.path_params['task_id']"), "path"),
    (rules.features_named_by_core, Offence("app/core/ids.py", "SQL = 'SELECT id FROM tasks'"), "names tasks"),
    (rules.features_named_by_core, Offence("app/core/ids.py", "INDEX = 'tasks_words_idx'"), "names tasks_words_idx"),
    (rules.unlisted_features, Offence("app/gadgets/router.py", "router = 1"), "does not list gadgets"),
    (rules.unlisted_features, Offence("app/features.py", "", replaces="    tasks,\n"), "does not list tasks"),
    (
        rules.unlisted_features,
        Offence("app/features.py", "ROUTERS = (tasks, ", replaces="ROUTERS = ("),
        "lists ['tasks', 'system', ",
    ),
    (rules.unmirrored_features, Offence("app/gadgets/router.py", ""), "tests/gadgets/: has no tests"),
    (rules.unmirrored_features, Offence("app/core/mail/outbox.py", ""), "tests/core/mail/: has no tests"),
    (rules.unmirrored_features, Offence("app/gadgets/models.py", ""), "tests/gadgets/factories.py: is missing"),
    (
        rules.tables_without_factory,
        Offence("app/tasks/models.py", "class Gadget(Base):\n    __tablename__ = 'gadgets'"),
        "tests/tasks/factories.py: has no factory of Gadget",
    ),
    (
        rules.tables_outside_the_metadata,
        Offence("app/gadgets/models.py", "class Gadget(Base):\n    __tablename__ = 'gadgets'"),
        "importing it does not import gadgets",
    ),
    (
        documents.settings_out_of_step,
        Offence(".env.example", "#TALLER_PORT=8001", replaces="#TALLER_PORT=8000"),
        "TALLER_PORT is not",
    ),
    (
        documents.settings_out_of_step,
        Offence(".env.example", "# Which port.\n#TALLER_PORT", replaces="# The TCP port to listen on.\n#TALLER_PORT"),
        "TALLER_PORT is not 'The TCP port to listen on.'",
    ),
    (documents.settings_out_of_step, Offence(".env.example", "# A thing.\n#TALLER_COLOUR=red"), "COLOUR is no setting"),
    (documents.settings_out_of_step, Offence(".env.example", "#TALLER_PORT=8000"), "TALLER_PORT is listed twice"),
    (
        documents.settings_out_of_step,
        Offence(".env.example", "", replaces="#TALLER_HOST=127.0.0.1\n"),
        "TALLER_HOST is missing",
    ),
    (documents.dead_mentions, Offence("README.md", "Read `app/core/data.py`."), "app/core/data.py does not exist"),
    (documents.dead_mentions, Offence("README.md", "Each has a `rooter.py`."), "rooter.py does not exist"),
    (documents.dead_mentions, Offence(f"{HOW_TO}/new.md", "Look in `app/*/rooms/`."), "app/*/rooms/ does not exist"),
    (documents.dead_mentions, Offence("README.md", "Call `app.core.ids.uuid8`."), "app.core.ids.uuid8 does not exist"),
    (documents.dead_mentions, Offence("README.md", "Type `make walk`."), "make walk does not exist"),
    (documents.dead_mentions, Offence("README.md", "```\n$ make walk\n```"), "make walk does not exist"),
    (documents.dead_mentions, Offence("README.md", "Type `taller walk`."), "taller walk does not exist"),
    (documents.dead_mentions, Offence("README.md", "Set TALLER_COLOUR."), "TALLER_COLOUR is no setting"),
    (documents.dead_mentions, Offence("README.md", f"Set {UNREAD}."), f"{UNREAD} is no setting"),
    (documents.dead_mentions, Offence("README.md", "See [there](there.md#part)."), "there.md leads nowhere"),
    (documents.dead_references, Offence("app/main.py", f"# {UNWRITTEN}"), f"{UNWRITTEN} does not exist"),
    (documents.features_without_owners, Offence("app/gadgets/router.py", ""), "nobody owns /app/gadgets/"),
    (documents.features_without_owners, Offence("app/gadgets/router.py", ""), "nobody owns /tests/gadgets/"),
    (documents.features_without_owners, Offence(".github/CODEOWNERS", "/app/gone/ @taller/x"), "/app/gone/ does not"),
    (
        documents.features_without_owners,
        Offence(".github/CODEOWNERS", "/app/projects/", replaces="/app/tasks/"),
        "nobody owns /app/tasks/",
    ),
]


@cache
def _before(rule: Rule, tree: Path) -> list[str]:
    """What a rule finds where nothing is planted."""
    return rule(tree)


@pytest.mark.parametrize(
    ("rule", "offence", "found"),
    [
        pytest.param(
            *row,
            id=f"{routes.name_of(row[0])}-{row[2]}",
            # It imports the features in a process of its own.
            marks=[pytest.mark.slow] if row[0] is rules.tables_outside_the_metadata else [],
        )
        for row in PLANTED
    ],
)
def test_a_planted_offence_turns_its_rule_red(tree: Path, rule: Rule, offence: Offence, found: str) -> None:
    before = _before(rule, tree)
    assert not any(found in line for line in before)
    with planted(tree, offence):
        after = [line for line in rule(tree) if line not in before]
    assert any(found in line for line in after), after


def test_private_name_of_another_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rules.LIBRARY_NAMES, "_sum", ("app/core/metrics.py", "prometheus-client", "0.1"))
    monkeypatch.setitem(rules.LIBRARY_NAMES, "_gone", ("app/core/metrics.py", "asyncpg", "0.32.0"))
    unused, outdated = rules.private_names_of_libraries(ROOT)
    assert unused.startswith("_gone is no longer used")
    assert "whether _sum is what app/core/metrics.py takes it for" in outdated


def test_no_rule_is_left_without_an_offence() -> None:
    written = {
        f"{module.__name__}.{name}"
        for module in (rules, documents)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and inspect.signature(function).return_annotation == list[str]
    }
    assert written == {f"{rule.__module__}.{routes.name_of(rule)}" for rule, _, _ in PLANTED}


def test_a_setting_that_the_example_lacks_is_found(tree: Path) -> None:
    class More(Settings):
        colour: str = "red"
        """What it is painted."""

    assert documents.settings_out_of_step(tree, More) == [
        ".env.example: TALLER_COLOUR is missing, or has no sentence above it"
    ]


async def _read_id_outside_access(project_id: UUID) -> UUID:
    return project_id


def _planted_routes() -> list[APIRoute]:
    router = FeatureRouter(tag="planted")

    @router.get("/open")
    async def read_open() -> None: ...

    @router.get("/{project_id}/bare", dependencies=[Public])
    async def read_bare(project_id: UUID) -> None: ...

    @router.get("/{project_id}/hidden", dependencies=[Public])
    async def read_hidden(found: Annotated[UUID, Depends(_read_id_outside_access)]) -> None: ...

    @router.get("/{project_id}", operation_id="readIt")
    async def read_named(project: ReadableProject) -> None: ...

    @router.get("/{project_id}/good")
    async def read_good(project: ReadableProject) -> None: ...

    @router.put("/{project_id}/good", operation_id="read_good")
    async def update_good(project: ReadableProject) -> None: ...

    return list(router.routes)


def test_route_without_guard_is_found_and_stops_the_boot() -> None:
    assert routes.unguarded(_planted_routes()) == ["read_open: has no guard"]
    with pytest.raises(UnguardedRouteError, match=r"\['GET'\] /api/v1/open has no guard"):
        refuse_unguarded_routes(_planted_routes())


def test_handlers_that_take_bare_ids_are_found() -> None:
    assert routes.bare_ids(_planted_routes()) == [
        f"read_bare: takes project_id bare, in {__name__}",
        f"read_hidden: takes project_id bare, in {__name__}",
    ]


def test_writes_that_need_only_a_read_scope_are_found() -> None:
    (found,) = routes.reads_that_write(_planted_routes())
    assert found.startswith("update_good: changes something, and an API key needs only projects:read for it")


def test_operations_that_no_test_of_their_feature_sends_are_found(tmp_path: Path) -> None:
    (tmp_path / "tests" / "tasks").mkdir(parents=True)
    sent = "async def test_it(api):\n    await api.post(f'/api/v1/projects/{1}/tasks?x=1')\n"
    (tmp_path / "tests" / "tasks" / "test_one.py").write_text(sent)
    of_tasks = [route for router in ROUTERS for route in router.routes if route.tags == ["tasks"]]
    found = [line.partition(":")[0] for line in routes.untried(of_tasks, tmp_path)]
    assert found == [route.name for route in of_tasks if route.name != "create_task"]


def test_tags_that_begin_with_the_same_letter_are_found() -> None:
    label = replace(TASK, model=User)
    assert routes.shared_letters([PROJECT, TASK]) == []
    (found,) = routes.shared_letters([PROJECT, TASK, label])
    assert found.startswith("tags of Task and User begin with the same letter t")


def test_wrong_or_duplicate_operation_ids_are_found() -> None:
    assert [line.partition(":")[0] for line in routes.operation_ids(_planted_routes())] == [
        "readIt",
        "read_good",
        "read_good",
    ]
