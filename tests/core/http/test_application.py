"""The layers around the operations."""

import gc
import weakref
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem, bearer_of


class Layer:
    """Writes its name where it was passed."""

    def __init__(self, app: ASGIApp, *, name: str) -> None:
        self.app, self.name = app, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("passed", []).append(self.name)
        await self.app(scope, receive, send)


async def test_added_layers_are_passed_from_the_last_to_the_first(settings: Settings) -> None:
    app = create_app(settings)
    passed: list[dict[str, Any]] = []

    class Outermost(Layer):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await super().__call__(scope, receive, send)
            passed.append(dict(scope))

    app.add_middleware(Layer, name="inner")
    app.add_middleware(Outermost, name="outer")
    async with Api(app) as api:
        assert (await api.get("/health/live")).status_code == 200
    (scope,) = passed
    assert scope["passed"] == ["outer", "inner"]
    assert scope["app"] is app


class Marked:
    """Puts something into each request's scope, by which one can tell whether that is still there."""

    def __init__(self, app: ASGIApp, *, marks: "list[weakref.ref[Mark]]") -> None:
        self.app, self.marks = app, marks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["mark"] = mark = Mark()
        self.marks.append(weakref.ref(mark))
        await self.app(scope, receive, send)


class Mark:
    """Something that a weak reference can be had of."""


async def test_a_request_is_forgotten_without_the_collector(settings: Settings, database: Database, user: User) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": "1000/60"}))
    marks: list[weakref.ref[Mark]] = []
    app.add_middleware(Marked, marks=marks)
    project = await project_of(database, user)
    async with app.router.lifespan_context(app), Api(app, await bearer_of(app, user)) as api:
        tasks = f"/projects/{project.id}/tasks/"
        gc.disable()
        try:
            await api.post(tasks, json={"title": "A task"})
            for path in ("/health/live", f"/projects/{project.id}", tasks, f"{tasks}?cursor=&sort=title", "/nowhere"):
                await api.get(path)
            assert [mark() for mark in marks] == [None] * 6
        finally:
            gc.enable()


async def test_unknown_path_is_404_without_fastapis_router(anonymous: Api) -> None:
    assert_problem(await anonymous.get("/nowhere"), 404, "not_found")
