"""The middleware of every request: a request id, an access log line, security headers, and a problem for each 500.

It is plain ASGI: Starlette's `BaseHTTPMiddleware` would cost 200 µs a request.
"""

import logging
import re
from collections.abc import Collection
from time import perf_counter
from typing import TYPE_CHECKING

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from app.core.errors import InternalError
from app.core.http import metering
from app.core.http.positions import HEADER as POSITION_HEADER
from app.core.http.positions import position_sent
from app.core.http.problems import problem_response
from app.core.http.trie import TrieRouter
from app.core.ids import uuid7
from app.core.logging import ACCESS_LOGGER, AccessRecord, request_id_var
from app.core.ratelimit.limiter import RateLimits, RequestQuota
from app.core.request_state import RequestState

if TYPE_CHECKING:
    from app.core.tracing import RequestSpan, Tracing

access_log = logging.getLogger(ACCESS_LOGGER)
logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}")

_POSITION = POSITION_HEADER.lower().encode()

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class RequestMiddleware:
    """The innermost middleware, around the operations."""

    def __init__(
        self,
        operations: TrieRouter,
        *,
        limits: RateLimits | None,
        prefix: str,
        probes: Collection[str] = (),
        logs_client: bool = False,
        tracing: "Tracing | None" = None,
        reads_positions: bool = False,
    ) -> None:
        """`probes`: the paths of routes whose requests are logged at `debug` unless they fail. `reads_positions`:
        whether clients may tell the position in the database that they have seen.
        """
        self.operations = operations
        self.limits = limits
        self.prefix = prefix
        self.probes = frozenset(probes)
        self.logs_client = logs_client
        self.tracing = tracing
        self.reads_positions = reads_positions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = perf_counter()
        metering.count_begun()
        state = _read_headers(scope, reads_positions=self.reads_positions)
        state.prefix = self.prefix
        quota = None
        if self.limits is not None:
            state.quota = quota = self.limits.quota(scope.get("client"))
        span = None if self.tracing is None else self.tracing.begin_request(scope)
        token = request_id_var.set(state.request_id)
        status = 0
        try:
            try:
                response = await self.operations.respond(Request(scope, receive, send))
            except Exception:
                logger.exception("unhandled error")
                state.code, state.reason = InternalError.code, InternalError.title
                response = problem_response(InternalError(), scope)
            status = response.status_code
            _add_headers(response, state, quota, span)
            await response(scope, receive, send)
        finally:
            metering.count_ended(scope, status, started)
            if access_log.isEnabledFor(logging.INFO):
                self._log(scope, state, status, started)
            request_id_var.reset(token)
            if span is not None:
                span.end(scope, status)

    def _log(self, scope: Scope, state: RequestState, status: int, started: float) -> None:
        # `access_log.info` would search the stack for the calling line, which no line shows.
        route = getattr(scope.get("route"), "path", None)
        fields = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round((perf_counter() - started) * 1000, 2),
        }
        if state.caller is not None:
            # As text, which is encoded in a quarter of the time that an id of the driver's class takes.
            fields["caller"] = str(state.caller.principal)
        if self.logs_client:
            fields["client"] = (scope.get("client") or ("unknown",))[0]
        if state.code is not None:
            fields["code"] = state.code
            fields["reason"] = state.reason
        elif route in self.probes:
            if access_log.isEnabledFor(logging.DEBUG):
                access_log.handle(AccessRecord(fields, logging.DEBUG))
            return
        if state.is_replayed:
            fields["replayed"] = True
        access_log.handle(AccessRecord(fields))


def _add_headers(
    response: Response, state: RequestState, quota: RequestQuota | None, span: "RequestSpan | None"
) -> None:
    """Add the headers that every response has."""
    headers = response.raw_headers
    is_private = b"cache-control" not in dict(headers)
    headers += [(b"x-request-id", state.request_id.encode()), *_SECURITY_HEADERS]
    if is_private:
        # As nearly every response; a response that may be cached has set the header itself.
        headers.append((b"cache-control", b"no-store"))
    if span is not None:
        headers.append(span.traceparent)
    if state.position_seen is not None:
        headers.append((_POSITION, state.position_seen.encode()))
    if state.prefix:
        headers[:] = [_with_prefix(name, value, state.prefix.encode()) for name, value in headers]
    if quota is not None:
        headers += quota.headers(response.status_code, is_revalidated=state.has_named_tag)


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
    state = RequestState(request_id or str(uuid7()))
    if length is not None and not is_chunked:
        state.declared_length = length
    if keys:
        state.idempotency_keys = keys
    if reads_positions:
        state.position = position_sent(scope)
    state.put_into(scope)
    return state
