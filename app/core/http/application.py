"""FastAPI without the layers around operations that are not needed here.

On every request, FastAPI's own stack also checks whether it is traced, catches errors that `RequestMiddleware` handles,
opens an exit stack that stays empty, and walks its router's list of routes
(docs/decisions/0019-what-a-request-costs.md).
"""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.http.middleware import RequestMiddleware
from app.core.services import KEY


class Application(FastAPI):
    """The application. `innermost` serves its requests; FastAPI's router only runs its lifespan."""

    def __init__(self, innermost: RequestMiddleware, **options: Any) -> None:
        super().__init__(**options)
        self.innermost = innermost

    def build_middleware_stack(self) -> ASGIApp:
        """Return the added middleware around the innermost, the last one added outermost."""
        stack: ASGIApp = self.innermost
        for layer, arguments, options in reversed(self.user_middleware):
            stack = layer(stack, *arguments, **options)
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or run the lifespan."""
        scope["app"] = self
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        scope[KEY] = self.state["services"]
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)
