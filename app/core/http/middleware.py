"""The middleware of every request: a request id, an access log line, security headers, and a problem for each 500.

It is plain ASGI: Starlette's `BaseHTTPMiddleware` would cost 200 µs a request.
"""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from operator import methodcaller
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from app.core.errors import AppError, InternalError
from app.core.http import metering
from app.core.http.positions import HEADER as POSITION_HEADER
from app.core.http.positions import position_sent
from app.core.http.problems import answer_to, problem_response
from app.core.http.trie import TrieRouter
from app.core.ids import uuid7_text
from app.core.logging import ACCESS_LOGGER, log_request, request_id_var
from app.core.ratelimit.limiter import RateLimits, RequestQuota
from app.core.request_state import LINES, RequestState

if TYPE_CHECKING:
    from app.core.tracing import RequestSpan, Tracing

access_log = logging.getLogger(ACCESS_LOGGER)
logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}")

_PARTS = methodcaller("partition", b": ")

_SAFE = "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\nx-frame-options: DENY\r\n"


@dataclass(eq=False, kw_only=True)
class RequestMiddleware:
    """The innermost middleware, around the operations."""

    operations: TrieRouter
    limits: RateLimits | None
    prefix: str
    probes: Collection[str]
    """The paths of routes whose requests are logged at `debug` unless they fail."""

    logs_client: bool
    tracing: "Tracing | None"
    reads_positions: bool
    """Whether clients may tell the position in the database that they have seen."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = perf_counter()
        metering.count_begun()
        state = _read_headers(scope, reads_positions=self.reads_positions)
        state.prefix = self.prefix
        quota = None
        if self.limits is not None:
            state.quota = quota = RequestQuota(self.limits, scope.get("client"))
        span = None if self.tracing is None else self.tracing.begin_request(scope)
        token = request_id_var.set(state.request_id)
        status = 0
        try:
            try:
                request = Request(scope, receive, send)
                try:
                    response = await self.operations.handler(scope)(request)
                except AppError as error:
                    response = answer_to(request, error)
            except Exception:
                logger.exception("unhandled error")
                state.code, state.reason = InternalError.code, InternalError.title
                response = problem_response(InternalError(), scope)
            status = response.status_code
            lines, body = _lines(response, state, quota, span), getattr(response, "body", None)
            if body is not None and LINES in scope.get("extensions", ()):
                headers, kind = response.raw_headers, "http.response.start"
                await send({"type": kind, "status": status, "headers": headers, LINES: lines, "body": body})
            else:
                response.raw_headers += [(name, value) for name, _, value in map(_PARTS, lines.splitlines())]
                await response(scope, receive, send)
        finally:
            seconds = perf_counter() - started
            route = getattr(scope.get("route"), "path", None)
            metering.count_ended(route, scope["method"], status, seconds)
            self._log(scope, state, route, status, seconds)
            request_id_var.reset(token)
            if span is not None:
                span.end(scope, status)

    def _log(self, scope: Scope, state: RequestState, route: str | None, status: int, seconds: float) -> None:
        level = logging.DEBUG if route in self.probes and state.code is None else logging.INFO
        if not access_log.isEnabledFor(level):
            return
        more: dict[str, Any] = {}
        if self.logs_client:
            more["client"] = (scope.get("client") or ("unknown",))[0]
        if state.code is not None:
            more |= {"code": state.code, "reason": state.reason}
        if state.is_replayed:
            more["replayed"] = True
        caller = None if state.caller is None else str(state.caller.principal)
        log_request(state.request_id, level, scope["method"], route, status, seconds, caller, more)


def _lines(response: Response, state: RequestState, quota: RequestQuota | None, span: "RequestSpan | None") -> bytes:
    """Return the headers that every response has, as lines: to join them at once takes a fifth of the time.

    Nothing in them is a client's but the request id, which has been checked.
    """
    headers = response.raw_headers
    lines = f"x-request-id: {state.request_id}\r\n{_SAFE}"
    for name, _ in headers:
        # What may be cached has set the header itself.
        if name == b"cache-control":
            break
    else:
        lines += "cache-control: no-store\r\n"
    if span is not None:
        lines += f"traceparent: {span.traceparent}\r\n"
    if state.position_seen is not None:
        lines += f"{POSITION_HEADER.lower()}: {state.position_seen}\r\n"
    if state.prefix:
        headers[:] = [_with_prefix(name, value, state.prefix.encode()) for name, value in headers]
    if quota is not None:
        lines += quota.headers(response.status_code, is_revalidated=state.has_named_tag)
    return lines.encode()


def _with_prefix(name: bytes, value: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    """Return a header with the prefix in its addresses, as clients reach them."""
    if name == b"location":
        return name, prefix + value
    return name, value.replace(b"</", b"<" + prefix + b"/") if name == b"link" else value


def _read_headers(scope: Scope, *, reads_positions: bool) -> RequestState:
    """Create the state of a request from its headers, and store it in the ASGI scope.

    The id is the client's if it can be logged safely, otherwise a new one. `Content-Length` is ignored for chunked
    bodies.
    """
    request_id, is_chunked = "", False
    length: int | None = None
    keys: tuple[bytes, ...] = ()
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode()
        elif name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"idempotency-key":
            keys = (*keys, value)
    state = RequestState(request_id or uuid7_text())
    if length is not None and not is_chunked:
        state.declared_length = length
    if keys:
        state.idempotency_keys = keys
    if reads_positions:
        state.position = position_sent(scope)
    state.put_into(scope)
    return state
