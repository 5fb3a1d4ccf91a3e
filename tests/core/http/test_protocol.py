"""What stands between a socket and the application, spoken to in bytes."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.core.drain import STATE_KEY, Drain
from app.core.http import protocol
from app.core.http.protocol import MAX_HEAD_BYTES, MAX_HEADER_LINES, PIECE, BoundedHttp
from app.core.request_state import LINES

WAIT = 20
HOST = b"Host: x\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


class Recorder:
    """An application that answers each request with its path, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.watch: Callable[[], object] = lambda: None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.response: list[Message] = []
        """What it sends instead of the path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.watch()
        body, is_early = b"", scope["path"] == "/early"
        while not is_early:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.seen.append((scope["method"], scope["path"], body))
        self.headers.append(dict(scope["headers"]))
        await self.may_answer.wait()
        if self.response:
            for message in self.response:
                await send(message)
            return
        answer = scope["path"].encode()
        if scope["path"] == "/large":
            answer *= 5_000_000
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})


class RawConnection:
    """One connection to a server that runs here."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, app: Recorder, protocol: BoundedHttp
    ) -> None:
        self.app, self.protocol = app, protocol
        self._reader, self._writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        """Send these, each by itself."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0)

    async def is_lost(self) -> None:
        """Wait until the server has dropped the connection."""
        while self.protocol.transport.get_write_buffer_size() or self.protocol in self.protocol.connections:  # noqa: ASYNC110 - the protocol tells nobody
            await asyncio.sleep(0.02)

    def half_close(self) -> None:
        """Say that nothing more comes."""
        self._writer.write_eof()

    async def answer(self) -> tuple[int, bytes]:
        """The next answer's status and body."""
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), WAIT)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await asyncio.wait_for(self._reader.readexactly(int(fields[b"content-length"])), WAIT)
        return int(head.split()[1]), body

    async def head(self) -> bytes:
        """The next answer's head, of one that has no body."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def answers(self) -> list[int]:
        """The statuses of all answers until the server closes."""
        statuses = []
        while True:
            try:
                statuses.append((await self.answer())[0])
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return statuses

    async def problem(self) -> dict[str, Any]:
        """The only answer, after which the connection is closed."""
        _, body = await self.answer()
        assert await self.answers() == []
        document: dict[str, Any] = json.loads(body)
        return document

    async def refusal(self) -> str:
        """The code of the only answer, after which the connection is closed."""
        code: str = (await self.problem())["code"]
        return code


@asynccontextmanager
async def connected(*, keep_alive: float = 60, head: float = 60, body: float = 60) -> AsyncGenerator[RawConnection]:
    """A connection to a server with these limits in seconds."""
    app = Recorder()
    config = Config(app, lifespan="off", ws="none", log_config=None, timeout_keep_alive=keep_alive)  # type: ignore[arg-type] # ty: ignore
    made: list[BoundedHttp] = []
    called = asyncio.Event()

    def make() -> BoundedHttp:
        made.append(BoundedHttp(config, ServerState(), {STATE_KEY: Drain(0)}, head_timeout=head, body_timeout=body))
        called.set()
        return made[0]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await called.wait()
    try:
        yield RawConnection(reader, writer, app, made[0])
    finally:
        writer.close()
        server.close()


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.3, x/2", b"h2c\r\nUpgrade: websocket"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("is_split", [False, True])
async def test_offered_upgrade_is_ignored(
    method: str, protocol: bytes, is_split: bool, caplog: pytest.LogCaptureFixture
) -> None:
    offer = HOST + b"Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\n"
    line = method.encode() + b" /a?b=c HTTP/1.1\r\n"
    caplog.set_level(logging.WARNING)
    async with connected() as connection:
        head = line + offer + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
        await connection.send(*([head, SMUGGLED] if is_split else [head + SMUGGLED]))
        # A chunked one as well, and one without a body; on the same connection.
        await connection.send(line + offer + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + GET + LAST)
        assert await connection.answers() == [200] * 4
        bodies = [SMUGGLED, b"{}", b"", b""]
        assert [body for _, _, body in connection.app.seen] == bodies
        assert [path for _, path, _ in connection.app.seen] == ["/a", "/a", "/a", "/last"]
    assert caplog.messages == []


async def test_connect_is_a_request_after_which_nothing_is_read() -> None:
    async with connected() as connection:
        await connection.send(GET + b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED)
        await connection.send(SMUGGLED)
        assert await connection.answers() == [200, 200]
        assert [(method, path) for method, path, _ in connection.app.seen] == [
            ("GET", "/a"),
            ("CONNECT", "/example.org:443"),
        ]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 0\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length: \r\n",
        b"Content-Length : 5\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"X: a\r\n folded\r\n",
        b"X: a\n",
        b"X: a\rContent-Length: 5\r\n",
        b"X: a\x00b\r\n",
        b"X\x00: a\r\n",
        b": a\r\n",
        b"nothing\r\n",
        HOST,
    ],
)
async def test_a_head_that_two_readers_may_understand_differently_is_refused(head: bytes) -> None:
    async with connected() as connection:
        await connection.send(b"POST /a HTTP/1.1\r\n" + HOST + head + b"\r\n0\r\n\r\n" + SMUGGLED)
        assert await connection.refusal() == "malformed_request"
        assert connection.app.seen == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\nHost: x\n\n",
        b"GET /a\r\n\r\n",
        b"GET /a HTTP/3.0\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
        b"get /a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_request_is_refused(head: bytes) -> None:
    async with connected() as connection:
        await connection.send(head)
        assert await connection.refusal() == "malformed_request"
        assert connection.app.seen == []


@pytest.mark.parametrize("address", ["/a?q=Müller", "/Ü", "/a?q=a\x01"])
async def test_refusal_of_an_unencoded_address_says_so(address: str) -> None:
    async with connected() as connection:
        await connection.send(b"GET " + address.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        assert "must be percent-encoded" in (await connection.problem())["detail"]
        assert connection.app.seen == []


@pytest.mark.parametrize(
    "body",
    [
        b"2\n{}\n0\n\n",
        b"2 \r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n",
        b"\r\n{}\r\n0\r\n\r\n",
        b"2;a=b\nc\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}}\r\n0\r\n\r\n",
        b"2\r\n{}0\r\n\r\n",
        b"10000000000000002\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n",
        b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
        b"2\r\n{}\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
async def test_a_chunked_body_that_is_not_framed_is_refused(body: bytes) -> None:
    async with connected() as connection:
        await connection.send(CHUNKED + body + SMUGGLED)
        assert await connection.refusal() == "malformed_request"
        assert connection.app.seen == []


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n",
        b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
    ],
)
async def test_other_transfer_codings_are_refused(request_head: bytes) -> None:
    async with connected() as connection:
        await connection.send(request_head + b"\r\n0\r\n\r\n" + SMUGGLED)
        assert await connection.refusal() == "transfer_coding_not_implemented"
        assert connection.app.seen == []


async def test_trailers_are_no_headers() -> None:
    trailers = b"Authorization: Bearer x\r\nIf-Match: *\r\nHost: y\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    async with connected() as connection:
        await connection.send(CHUNKED + b"2;a=b\r\n{}\r\n0\r\n" + trailers + b"\r\n" + LAST)
        assert await connection.answers() == [200, 200]
        assert connection.app.seen == [("POST", "/a", b"{}"), ("GET", "/last", b"")]
        assert connection.app.headers[0] == {b"host": b"x", b"transfer-encoding": b"chunked"}


async def _flood(connection: RawConnection, start: bytes, repeated: bytes, limit: int) -> None:
    """Send without end; fail where nobody stops it."""
    sent = 0
    try:
        await connection.send(start)
        while sent < limit:
            await connection.send(repeated)
            sent += len(repeated)
    except ConnectionError:
        pass
    assert sent < limit, "somebody read all of it"


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (b"GET /", b"a" * 1000),
        (b"GET /a HTTP/1.1\r\nX: ", b"a" * 1000),
        (b"GET /a HTTP/1.1\r\n", b"X: a\r\n" * 100),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: a\r\n" * 100),
        (CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"a" * 1000),
        (CHUNKED + b"2;a=", b"a" * 1000),
        (CHUNKED, b"1;a=" + b"a" * 1000 + b"\r\nb\r\n"),
        (CHUNKED, b"0" * 1000),
    ],
    ids=["target", "header", "headers", "trailers", "trailer", "extension", "extensions", "size"],
)
async def test_what_does_not_end_is_cut_off(start: bytes, repeated: bytes) -> None:
    async with connected() as connection:
        await _flood(connection, start, repeated, 64 * 1024 * 1024)
        assert connection.app.seen == []


@pytest.mark.parametrize(
    ("lines", "size", "status"),
    [
        (MAX_HEADER_LINES, 10, 200),
        (MAX_HEADER_LINES + 1, 10, 431),
        (2, MAX_HEAD_BYTES - 100, 200),
        (2, MAX_HEAD_BYTES + 2 * PIECE, 431),
    ],
)
@pytest.mark.parametrize(
    "before", [b"", b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200_000]
)
async def test_a_head_is_measured_whatever_shares_its_packet(lines: int, size: int, status: int, before: bytes) -> None:
    more = b"".join(b"X-%d: a\r\n" % number for number in range(lines - 2)) + b"Y: " + b"a" * size + b"\r\n"
    async with connected() as connection:
        await connection.send(before + b"GET /a HTTP/1.1\r\n" + HOST + more + b"\r\n")
        if before:
            assert (await connection.answer())[0] == 200
        assert (await connection.answer())[0] == status


async def test_tiny_chunks_of_a_large_body_are_no_overhead() -> None:
    async with connected() as connection:
        await connection.send(CHUNKED + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n" + LAST)
        assert await connection.answers() == [200, 200]
        assert connection.app.seen[0][2] == b"a" * 100_000


async def test_every_byte_may_be_a_packet() -> None:
    sent = b"POST /b HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}"
    sent += CHUNKED + b"2;a=b\r\n[]\r\n0\r\nX: a\r\n\r\n" + LAST
    async with connected() as connection:
        await connection.send(*(sent[at : at + 1] for at in range(len(sent))))
        assert await connection.answers() == [200] * 3
        assert [body for _, _, body in connection.app.seen] == [b"{}", b"[]", b""]


async def test_queued_requests_are_not_parsed_ahead() -> None:
    post = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}"
    async with connected() as connection:
        waiting = []
        connection.app.watch = lambda: waiting.append(len(connection.protocol.pipeline))
        sending = asyncio.create_task(connection.send(*[post * 500] * 6, LAST))
        assert await connection.answers() == [200] * 3001
        await sending
        assert 0 < max(waiting) <= PIECE // len(post) + 1


async def test_requests_before_a_broken_one_are_answered_first() -> None:
    async with connected() as connection:
        connection.app.may_answer.clear()
        await connection.send(GET + GET + b"nonsense\r\n\r\n")
        await asyncio.sleep(0.05)
        connection.app.may_answer.set()
        assert await connection.answers() == [200, 200, 400]


async def test_a_broken_body_behind_another_request_is_refused_after_it() -> None:
    async with connected() as connection:
        connection.app.may_answer.clear()
        await connection.send(GET + CHUNKED + b"zz\r\n")
        await asyncio.sleep(0.05)
        connection.app.may_answer.set()
        assert await connection.answers() == [200, 400]
        assert [path for _, path, _ in connection.app.seen] == ["/a"]


async def test_early_response_stands_whatever_the_body_is() -> None:
    async with connected() as connection:
        await connection.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 500000\r\n\r\n")
        assert (await connection.answer())[0] == 200
        await connection.send(
            b"a" * 500_000 + GET + b"POST /early HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert [(await connection.answer())[0] for _ in range(2)] == [200, 200]
        await connection.send(b"zz\r\n" + SMUGGLED)
        assert await connection.answers() == []
        assert [path for _, path, _ in connection.app.seen] == ["/early", "/a", "/early"]


async def test_nothing_is_read_after_connection_close() -> None:
    async with connected() as connection:
        await connection.send(LAST + SMUGGLED)
        assert (await connection.answers())[:1] == [200]
        assert [path for _, path, _ in connection.app.seen] == ["/last"]


async def test_a_client_that_says_no_more_gets_its_answers() -> None:
    async with connected() as connection:
        await connection.send(GET + GET)
        connection.half_close()
        assert await connection.answers() == [200, 200]
    async with connected() as connection:
        await connection.send(GET + GET[:10])
        connection.half_close()
        assert await connection.answers() == [200]
    for incomplete in (GET[:10], b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}"):
        async with connected() as connection:
            await connection.send(incomplete)
            connection.half_close()
            assert await connection.answers() == []
            assert connection.app.seen == []


@pytest.mark.parametrize(
    ("sent", "limits", "expected"),
    [
        (b"", {"keep_alive": 0.2}, []),
        (GET, {"keep_alive": 0.2}, [200]),
        (b"\r\n", {"keep_alive": 0.2}, []),
        (b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", {"keep_alive": 0.2}, [200]),
        (GET + b"GET /", {"head": 0.2}, [200, 408]),
        (b"GET /a HTTP/1.1\r\nX: ", {"head": 0.2}, [408]),
        (CHUNKED + b"2\r\n{}", {"body": 0.2}, [408]),
        (b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}", {"body": 0.2}, [200]),
    ],
)
async def test_each_part_of_a_request_has_its_time(sent: bytes, limits: dict[str, Any], expected: list[int]) -> None:
    async with connected(**limits) as connection:
        await connection.send(sent)
        assert await connection.answers() == expected


async def test_request_in_progress_does_not_time_out() -> None:
    async with connected(keep_alive=0.1, head=0.1, body=0.1) as connection:
        connection.app.may_answer.clear()
        await connection.send(GET)
        await asyncio.sleep(0.5)
        connection.app.may_answer.set()
        assert await connection.answers() == [200]


async def test_an_answer_that_nobody_reads_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER", 0.2)
    async with connected(keep_alive=0.2) as connection:
        await connection.send(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.wait_for(connection.is_lost(), WAIT)


def _start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


THREE = (b"content-length", b"3")


async def test_a_head_and_its_body_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected() as connection:
        writes: list[bytes] = []

        class Noting:
            def write(self, data: bytes) -> None:
                writes.append(data)
                connection.protocol.transport.write(data)

        connection.app.watch = lambda: monkeypatch.setattr(connection.protocol.cycle, "transport", Noting())
        await connection.send(GET)
        assert await connection.answer() == (200, b"/a")
        (packet,) = writes
        assert packet.endswith(b"\r\n\r\n/a")


async def test_a_body_may_come_in_parts() -> None:
    async with connected() as connection:
        connection.app.response = [_start(THREE), _part(b"a", more=True), _part(b"", more=True), _part(b"bc")]
        await connection.send(GET, GET)
        assert [await connection.answer() for _ in range(2)] == [(200, b"abc")] * 2


@pytest.mark.parametrize("status", [204, 304])
async def test_response_without_body_needs_no_length(status: int) -> None:
    async with connected() as connection:
        connection.app.response = [_start(status=status), _part(b"")]
        await connection.send(GET, GET)
        for _ in range(2):
            head = await asyncio.wait_for(connection.head(), WAIT)
            assert head.startswith(b"HTTP/1.1 %d " % status)


async def test_a_head_is_answered_without_the_body_that_it_describes() -> None:
    async with connected() as connection:
        await connection.send(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n", GET)
        assert b"content-length: 2" in await asyncio.wait_for(connection.head(), WAIT)
        assert await connection.answer() == (200, b"/a")


@pytest.mark.parametrize(
    "response",
    [
        [_start(THREE, (b"x", b"1\r\nset-cookie: a=b"))],
        [_start(THREE, (b"x", b"1\x00"))],
        [_start(THREE, (b"x y", b"1"))],
        [_start(THREE, (b"x\r\n", b"1"))],
        [_start()],
        [_part(b"abc")],
        [],
    ],
    ids=["line-in-value", "nul", "blank-in-name", "line-in-name", "no-length", "body-first", "nothing"],
)
async def test_a_response_that_cannot_be_sent_becomes_a_500(response: list[Message]) -> None:
    async with connected() as connection:
        connection.app.response = response or [{"type": "none"}]
        await connection.send(GET)
        assert (await connection.answer())[0] == 500


@pytest.mark.parametrize("parts", [[_part(b"abcd")], [_part(b"ab")], [_part(b"ab", more=True)], [_start(THREE)]])
async def test_a_body_of_another_length_breaks_the_connection(parts: list[Message]) -> None:
    async with connected() as connection:
        connection.app.response = [_start(THREE), *parts]
        await connection.send(GET)
        assert await connection.answers() == []


async def test_further_header_lines_are_sent_as_they_are() -> None:
    lines = b"x-one: 1\r\nx-two: 2\r\n"
    async with connected() as connection:
        connection.app.response = [{**_start(THREE), LINES: lines, "body": b"abc"}]
        await connection.send(GET)
        assert (await connection.head()).endswith(b"\r\n" + lines + b"\r\n")
