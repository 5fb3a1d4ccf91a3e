"""The layers around the operations."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.main import create_app
from tests.support.client import Api, assert_problem


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


async def test_an_address_that_is_not_there_is_refused_without_a_router(anonymous: Api) -> None:
    assert_problem(await anonymous.get("/nowhere"), 404, "not_found")
