"""The HTTP protocol: uvicorn's on llhttp, with limits in bytes, lines and seconds on what a client may send.

llhttp refuses every framing that two parsers could understand differently. docs/decisions/0022-the-edge.md says what is
left to do here, and why; `tests/core/http/test_protocol.py` sends raw bytes to test each rule.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from app.core.drain import STATE_KEY, Drain
from app.core.errors import PROBLEM_MEDIA_TYPE, AppError, problem_document
from app.core.ids import uuid7_text
from app.core.request_state import LINES

MAX_HEAD_BYTES = 65_536
"""Bytes of the request line and headers, give or take one piece; also of the framing around a chunked body."""

MAX_HEADER_LINES = 100
"""Header lines of a request, and separately trailer lines, which are not used."""

CHUNK_ALLOWANCE = 16
"""Bytes of framing that each chunk may have: its size and line ends."""

PIECE = 4096
"""Bytes that are parsed at a time: the next ones wait until the requests in these are answered."""

_UNENCODED = "The address of the request has a character that must be percent-encoded, as `ü` is in `?q=M%C3%BCller`."

_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
"""Characters that no header may have."""

_EXTENSIONS: dict[str, dict[str, str]] = {LINES: {}}

_names: set[bytes] = set()
"""Names of headers that were checked."""

LINGER = 5.0
"""Seconds in which a client may read the rest of a response after its connection is closed."""


class MalformedRequestError(AppError):
    """The request violates the syntax of HTTP/1.1 or has no clear end. The connection is closed."""

    status = 400
    code = "malformed_request"
    title = "Malformed request"


class RequestTimeoutError(AppError):
    """The request did not arrive in time. The connection is closed: send the request again."""

    status = 408
    code = "request_timeout"
    title = "Request timeout"


class HeadTooLargeError(AppError):
    """The request line and headers exceed 64 KiB or 100 lines. The connection is closed."""

    status = 431
    code = "head_too_large"
    title = "Request head too large"


class TransferCodingError(AppError):
    """The only supported transfer coding is `chunked`, in HTTP/1.1. The connection is closed."""

    status = 501
    code = "transfer_coding_not_implemented"
    title = "Unsupported transfer coding"


_HEAD, _BODY, _COMPLETE = range(3)
"""How far the newest request has arrived."""


class _Flow(FlowControl):
    """Flow control that does not resume reading while requests are queued."""

    is_held = False

    def resume_reading(self) -> None:
        """Resume reading, unless requests are queued."""
        if self.read_paused and not self.is_held:
            super().resume_reading()


class _Cycle(RequestResponseCycle):
    """A request and its response. The head is written together with the body, which saves a system call per request."""

    # uvicorn's constructor sets these for each request, and makes an event, for which most requests have no use.
    disconnected = response_started = response_complete = False
    more_body = True
    _event: asyncio.Event | None = None
    _is_read = False
    """Whether the application has received the whole body."""

    _head: bytes | None = None
    """The head, until it is written together with the first part of the body."""

    task: "asyncio.Task[None]"
    """The task in which the application runs."""

    def __init__(self, protocol: "BoundedHttp", scope: Any, *, keep_alive: bool) -> None:
        self.scope, self.keep_alive = scope, keep_alive
        self.transport, self.flow, self.logger = protocol.transport, protocol.flow, protocol.logger
        self.default_headers, self._tasks = protocol.server_state.default_headers, protocol.tasks
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.on_response = protocol.on_response_complete
        self.body = bytearray()

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """Set when something has happened: a part of the body has arrived, or the request or its response has ended."""
        if self._event is None:
            self._event = asyncio.Event()
            if self.body or not (self.more_body or self._is_read):
                self._event.set()
        return self._event

    async def receive(self) -> Any:
        """Return the body if all of it has arrived before anybody waited, otherwise what happens next, as in ASGI."""
        is_waited_for = self.more_body or self._is_read or self._event is not None
        if is_waited_for or self.disconnected or self.response_complete or self.waiting_for_100_continue:
            return await super().receive()
        self.flow.resume_reading()
        body, self.body, self._is_read = bytes(self.body), bytearray(), True
        return {"type": "http.request", "body": body, "more_body": False}

    def add(self, body: bytes) -> None:
        """Add a part of the body."""
        self.body += body
        if self._event is not None:
            self._event.set()

    def end_body(self) -> None:
        """Note that the body is complete."""
        self.more_body = False
        if self._event is not None:
            self._event.set()

    async def run_asgi(self, app: Any) -> None:
        """Run the application, and see to it that there is a response."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:
            self.logger.exception("Exception in ASGI application", exc_info=error)
        finally:
            if self.response_started and not self.response_complete:
                self.transport.close()
            elif not self.response_started and not self.disconnected:
                await self.send_500_response()
            # It refers to the protocol, which refers to this.
            self.on_response = lambda: None
            self._tasks.discard(self.task)

    async def send(self, message: Any) -> None:
        """Send the head of the response or a part of its body, as in ASGI."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete or (message["type"] == "http.response.start") is self.response_started:
            raise RuntimeError(f"{message['type']} is sent too early or too late")
        if not self.response_started:
            self._begin(message["status"], message["headers"], message.get(LINES, b""))
            if LINES not in message:
                return
        self._write(message.get("body", b""), more=message.get("more_body", False))

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]], further: bytes) -> None:
        lines = [*self.default_headers, *headers]
        length = None
        are_names = True
        for name, value in lines:
            if name == b"content-length":
                length = value
            elif name not in _names:
                are_names &= _is_name(name)
        if length is None and status not in _WITHOUT_BODY:
            raise RuntimeError("the response does not say how long it is")
        head = b"\r\n".join([*map(b": ".join, lines), b""])
        # None of them may begin another line, nor end the head. Names are the application's own, and few.
        if not are_names or len(head.translate(None, _CONTROLS)) != len(head) - 2 * len(lines):
            raise RuntimeError("a header of the response has characters that no header may have")
        self.expected_content_length = 0 if self.scope["method"] == "HEAD" else int(length or 0)
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self._head = STATUS_LINE[status] + head + further + end
        self.response_started = True
        self.waiting_for_100_continue = False

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            raise RuntimeError("the response is longer or shorter than it says")
        if self._head is not None:
            body, self._head = self._head + body, None
        self.transport.write(body)
        if more:
            return
        self.response_complete = True
        if self._event is not None:
            self._event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _is_name(header: bytes) -> bool:
    if HEADER_RE.search(header):
        return False
    _names.add(header)
    return True


class BoundedHttp(HttpToolsProtocol):
    """One connection. Requests are answered in order of arrival; a malformed one is refused after those before it."""

    # Of our own kind.
    flow: _Flow  # ty: ignore[incompatible-mutable-override]
    cycle: _Cycle  # ty: ignore[incompatible-mutable-override]
    pipeline: deque[Any]
    parser: httptools.HttpRequestParser

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        head_timeout: float,
        body_timeout: float,
        prefix: str = "",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Not the parser of uvicorn, which goes on after a request that says `Connection: close`.
        self.parser = httptools.HttpRequestParser(self)
        self._timeouts = {_HEAD: head_timeout, _BODY: body_timeout}
        self._prefix = prefix
        self._drain: Drain = app_state[STATE_KEY]
        self._scope: dict[str, Any] = {}
        """The scope of a request, which each one copies and fills in: that takes a third of making it anew."""

        self._stage = _COMPLETE
        self._overhead = 0
        """Bytes of the head so far, or of the framing around the body."""
        self._codings: list[bytes] = []
        self._hosts = 0
        self._unparsed = memoryview(b"")
        self._unanswered = 0
        self._is_ended = False
        """Whether the connection reads no further requests."""
        self._refusal: AppError | None = None
        """The error to send after the responses to all earlier requests."""
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ends = float("inf")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Set the timeout for the first request."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": "",
            "root_path": "",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "headers": [],
            "state": {},
            "extensions": _EXTENSIONS,
        }
        self._limit(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the running request, and stop the timer."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def eof_received(self) -> bool:  # type: ignore[override] # ty: ignore[incompatible-method-override] # as in asyncio
        """Answer the requests that have arrived before closing the connection: the client may still read."""
        is_waiting = self._unanswered > 0 and self._stage != _BODY
        if is_waiting:
            self.cycle.keep_alive = False
            self._is_ended = True
        return is_waiting

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Parse the data a piece at a time, until a request has to wait for its turn."""
        if self._is_ended:
            return
        if self._unparsed or len(data) > PIECE:
            self._unparsed = memoryview(bytes(self._unparsed) + data)
            self._parse_on()
        else:
            self._parse(data)
        if self.pipeline:
            self._hold()

    def _parse_on(self) -> None:
        while self._unparsed and not self.pipeline and not self._is_ended:
            piece, self._unparsed = self._unparsed[:PIECE], self._unparsed[PIECE:]
            self._parse(piece)

    def _hold(self) -> None:
        self.flow.pause_reading()
        self.flow.is_held = True

    def _parse(self, piece: bytes | memoryview) -> None:
        self._overhead += len(piece)
        try:
            while piece and not self._is_ended:
                try:
                    self.parser.feed_data(piece)
                    break
                except httptools.HttpParserUpgrade as offer:
                    piece = memoryview(piece)[offer.args[0] :]
                    if not self._is_ended:
                        self._decline_upgrade()
        except httptools.HttpParserError as error:
            reason = error.__context__
            if isinstance(error, httptools.HttpParserInvalidURLError):
                reason = MalformedRequestError(_UNENCODED)
            self._refuse(reason if isinstance(reason, AppError) else MalformedRequestError())
            return
        if self._stage != _COMPLETE:
            if self._overhead > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADER_LINES:
                self._refuse(HeadTooLargeError() if self._stage == _HEAD else MalformedRequestError())
            elif self._deadline is None:
                self._limit(self._timeouts[self._stage])

    def _decline_upgrade(self) -> None:
        """Parse the request again without its `Upgrade` header (RFC 9110 section 7.8): the parser would treat the bytes
        after it as another protocol, and none is supported.
        """
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode()]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [b"\r\n", name, b": ", value]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"".join([*head, b"\r\n\r\n"]))

    # What the parser finds

    def on_message_begin(self) -> None:
        """Handle the beginning of a request."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._stage, self._overhead, self._deadline = _HEAD, 0, None
        self._codings, self._hosts = [], 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header or a trailer."""
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding":
            self._codings.append(value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request, because its head is complete. Refuse it if its framing is ambiguous."""
        parser, headers = self.parser, self.headers
        version = parser.get_http_version()
        if len(headers) > MAX_HEADER_LINES:
            raise HeadTooLargeError
        if self._hosts != 1 and (self._hosts or version != "1.0"):
            raise MalformedRequestError("The request must have exactly one Host header.")
        if self._codings and (b",".join(self._codings).strip(b" \t").lower() != b"chunked" or version == "1.0"):
            raise TransferCodingError
        if parser.should_upgrade():
            if parser.get_method() != b"CONNECT":
                # The parser raises `HttpParserUpgrade` next.
                return
            # No path leads there, and nobody can say where its body would end.
            self.url = b"/" + self.url
            self._is_ended = True
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        scope = self._scope.copy()
        scope["http_version"] = version
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = target.path
        scope["query_string"] = target.query or b""
        scope["headers"] = headers
        scope["state"] = self.app_state.copy()
        keep_alive = (
            version != "1.0" and parser.should_keep_alive() and not self._is_ended and not self._drain.is_active
        )
        is_first = not self._unanswered
        self.cycle = _Cycle(self, scope, keep_alive=keep_alive)
        if is_first:
            self._start(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft(self.cycle)
        self._unanswered += 1
        self._stage, self._overhead, self._deadline = _BODY, 0, None
        # What comes now are trailers, which are no headers.
        self.headers = []

    def _start(self, cycle: _Cycle) -> None:
        """Run the application for a request."""
        cycle.task = self.loop.create_task(cycle.run_asgi(self.app))
        self.tasks.add(cycle.task)

    def on_body(self, body: bytes) -> None:
        """Handle a part of the body."""
        if not self.cycle.response_complete:
            self.cycle.add(body)
            if len(self.cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        self._overhead = max(0, self._overhead - len(body) - CHUNK_ALLOWANCE)

    def on_message_complete(self) -> None:
        """Handle the end of the request."""
        if self._stage == _HEAD:
            # It offers an upgrade, and is about to be read again.
            return
        self._stage, self._deadline = _COMPLETE, None
        if self.cycle.response_complete:
            self._limit(self.timeout_keep_alive)
        else:
            self.cycle.end_body()

    # What is answered

    def on_response_complete(self) -> None:
        """Start the next request."""
        self.server_state.total_requests += 1
        self._unanswered -= 1
        if self.transport.is_closing():
            self._limit(self.timeout_keep_alive)
            return
        if self.flow.is_held:
            self._go_on()
        elif not self._is_ended:
            self.flow.resume_reading()
        if not self._unanswered:
            if self._refusal is not None:
                self._hang_up(self._refusal)
            elif self._stage == _COMPLETE:
                self._limit(self.timeout_keep_alive)

    def _go_on(self) -> None:
        """Start the next request that is queued, and parse further if there are no others."""
        if self.pipeline:
            self._start(self.pipeline.pop())
        if not self.pipeline:
            self.flow.is_held = False
            self._parse_on()
            if self.pipeline:
                self._hold()
            elif not self._is_ended:
                self.flow.resume_reading()

    def _refuse(self, error: AppError) -> None:
        """Stop reading, and send this error after the responses to earlier requests."""
        if self._refusal is not None:
            return
        self._refusal = error
        self._is_ended = True
        self._unparsed = memoryview(b"")
        self._hold()
        if self._stage == _BODY and not self.cycle.response_complete:
            # The request itself cannot be read to its end.
            self._unanswered -= 1
            if self.pipeline and self.pipeline[0] is self.cycle:
                self.pipeline.popleft()
            else:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        if not self._unanswered:
            self._hang_up(error)

    def _hang_up(self, error: AppError) -> None:
        """Send an error and close the connection, unless the request has already been answered."""
        if self._stage != _BODY or not self.cycle.response_started:
            self._say(error)
        self.transport.close()
        self._limit(LINGER)

    def _say(self, error: AppError) -> None:
        self.logger.info("request refused: %s", error.code)
        problem = problem_document(
            type(error), error.detail, instance="/", request_id=uuid7_text(), prefix=self._prefix
        )
        body = json.dumps(problem, separators=(",", ":")).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = [STATUS_LINE[error.status], *(name + b": " + value + b"\r\n" for name, value in headers)]
        self.transport.write(b"".join([*lines, b"\r\n", body]))

    # What takes too long

    def _limit(self, seconds: float) -> None:
        """Set the timeout for the next event. The timer is not moved for each request: it looks when it fires."""
        self._deadline = self.loop.time() + seconds
        if self._deadline < self._timer_ends:
            self._set_timer(seconds)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ends = self.loop.time() + seconds
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        remaining = self.timeout_keep_alive if self._deadline is None else self._deadline - self.loop.time()
        if remaining > 0:
            self._set_timer(remaining)
        elif self.transport.is_closing():
            self.transport.abort()
        else:
            self._timer_ends = float("inf")
            self._limit(LINGER)
            if self._stage == _COMPLETE:
                # The reader of the last response is gone, whatever is still unread of it.
                self.transport.close()
            else:
                self._refuse(RequestTimeoutError())
