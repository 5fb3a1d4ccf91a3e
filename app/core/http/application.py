"""FastAPI, with only those layers around its operations that have something to do here.

FastAPI's own stack also asks on every request whether somebody traces it, catches errors that `RequestMiddleware`
answers, opens an exit stack that nothing enters, and walks the list of its router's routes
(docs/decisions/0019-what-a-request-costs.md).
"""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.http.trie import TrieRouter


class Application(FastAPI):
    """Answers requests by its operations; FastAPI's router only starts and stops it."""

    def __init__(self, *, operations: TrieRouter, **options: Any) -> None:
        super().__init__(**options)
        self.operations = operations

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layers that were added, the last one outermost, around the operations."""
        stack: ASGIApp = self.operations
        for layer, arguments, options in reversed(self.user_middleware):
            stack = layer(stack, *arguments, **options)
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or start and stop."""
        scope["app"] = self
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)
