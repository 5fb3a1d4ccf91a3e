"""Static responses: their content is made and compressed once, in a thread."""

import asyncio
import gzip
from collections.abc import Callable

from anyio import to_thread
from fastapi import Request, Response

from app.core.preconditions.responses import apply_preconditions, tag_of_bytes


class StaticContent:
    """Content with an entity tag, which is sent compressed if the client accepts gzip."""

    def __init__(self, make: Callable[[], bytes], media_type: str, headers: dict[str, str] | None = None) -> None:
        self._make = make
        self._media_type = media_type
        self._headers = {"Vary": "Accept-Encoding", **(headers or {})}
        self._making: asyncio.Task[None] | None = None
        self._variants: dict[str, tuple[bytes, str]] = {}

    def prepare(self) -> None:
        """Make the content now, in the calling thread."""
        plain = self._make()
        # Without mtime=0, the time of compression would give each process another tag.
        compressed = gzip.compress(plain, 9, mtime=0)
        self._variants = {"": (plain, tag_of_bytes(plain)), "gzip": (compressed, tag_of_bytes(compressed))}

    async def respond(self, request: Request) -> Response:
        """Return the response to a request: 304 without a body if the client's tag is current."""
        if not self._variants:
            await self._prepared()
        coding = "gzip" if _takes_gzip(request) else ""
        content, tag = self._variants[coding]
        response = apply_preconditions(request, Response(content, media_type=self._media_type), tag, kept=b"no-cache")
        response.headers.update(self._headers)
        if coding and response.body:
            response.headers["Content-Encoding"] = coding
        return response

    async def _prepared(self) -> None:
        """Wait until the content is made; the first request starts that."""
        self._making = making = self._making or asyncio.create_task(to_thread.run_sync(self.prepare))
        try:
            # A request that is cancelled must not cancel it for the others.
            await asyncio.shield(making)
        finally:
            if making.done():
                # If it failed, the next request tries again.
                self._making = None


def _takes_gzip(request: Request) -> bool:
    for offered in request.headers.get("accept-encoding", "").lower().split(",", 20):
        coding, _, weight = offered.replace(" ", "").partition(";q=")
        if coding in {"gzip", "*"}:
            return not weight or weight.strip("0.") != ""
    return False
