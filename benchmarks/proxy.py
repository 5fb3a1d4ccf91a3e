"""Counts what a contender asks of PostgreSQL: a Unix socket that passes everything on and reads the messages' types.

That works with every driver and server, needs no extension and no log. The measured rounds do not pass through it.
"""

import asyncio
import contextlib
import struct
from pathlib import Path
from typing import Self

QUERY, EXECUTE, FLUSH, SYNC = b"Q"[0], b"E"[0], b"H"[0], b"S"[0]
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
_LENGTH = struct.Struct(">I")
CHUNK = 65536


class CountingProxy:
    """Listens at `directory`/.s.PGSQL.5432, in a running event loop."""

    def __init__(self, directory: Path, host: str, port: int) -> None:
        self.directory = directory
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self.statements = 0
        """Statements that clients had executed: simple queries, and executions of prepared ones."""
        self.round_trips = 0
        """How often clients waited for an answer."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.directory / ".s.PGSQL.5432")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            # Not `wait_closed`: clients that are still connected are none of our concern any more.
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._host.startswith("/"):
            upstream = asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            upstream = asyncio.open_connection(self._host, self._port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            server_reader, server_writer = await upstream
            back = asyncio.create_task(_copy(server_reader, writer))
            try:
                await self._forward(reader, writer, server_writer)
            finally:
                server_writer.close()
                back.cancel()
                writer.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        # The first messages have no type: a wish for encryption, which we decline, and the start-up itself.
        while True:
            head = await reader.readexactly(4)
            body = await reader.readexactly(_LENGTH.unpack(head)[0] - 4)
            if len(body) == 4 and _LENGTH.unpack(body)[0] in {SSL_REQUEST, GSS_REQUEST}:
                writer.write(b"N")
                continue
            server.write(head + body)
            break
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(_LENGTH.unpack(head[1:])[0] - 4)
            if head[0] == QUERY:
                self.statements += 1
                self.round_trips += 1
            elif head[0] == EXECUTE:
                self.statements += 1
            elif head[0] in {FLUSH, SYNC}:
                self.round_trips += 1
            server.write(head + body)
            await server.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    # A client that says goodbye waits for the server to hang up.
    writer.close()
