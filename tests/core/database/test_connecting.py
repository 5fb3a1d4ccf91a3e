"""Which of several hosts is connected to, and how."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from app.core.addresses import address_of
from app.core.database.connecting import connect
from app.core.errors import UnavailableError


@asynccontextmanager
async def silent_host() -> AsyncGenerator[int]:
    """A host that takes connections and never says anything."""

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            writer.close()

    host = await asyncio.start_server(hold, "127.0.0.1")
    yield host.sockets[0].getsockname()[1]
    host.close()


@asynccontextmanager
async def over_tcp(url: str) -> AsyncGenerator[int]:
    """The server at this address, over TCP."""
    there = make_url(url)
    path = f"{there.query['host']}/.s.PGSQL.{there.port or 5432}"

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(copy(reader, server_writer), copy(server_reader, writer), return_exceptions=True)

    host = await asyncio.start_server(serve, "127.0.0.1")
    yield host.sockets[0].getsockname()[1]
    host.close()


def address(database_url: str, *ports: int, **parameters: Any) -> str:
    there = make_url(database_url)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"postgresql://{there.username}@{hosts}/{there.database}?{query}"


async def test_a_host_that_says_nothing_keeps_nobody_from_the_next(database_url: str) -> None:
    async with silent_host() as silent, over_tcp(database_url) as port:
        url = address(database_url, silent, 1, port, connect_timeout=60)
        # Its own limit is a minute.
        connection = await asyncio.wait_for(connect(address_of(url), timeout=60), 30)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_a_time_limit_is_for_each_host(database_url: str) -> None:
    async with silent_host() as silent:
        url = address(database_url, silent, silent, connect_timeout=1)
        with pytest.raises(UnavailableError) as refused:
            await asyncio.wait_for(connect(address_of(url), timeout=60), 30)
        assert isinstance(refused.value.__cause__, TimeoutError)


OPTIONS = {
    "keepalives_idle": (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 33),
    "keepalives_interval": (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 7),
    "keepalives_count": (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    "tcp_user_timeout": (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 9000),
}


async def test_what_is_asked_of_the_connection_is_so(database_url: str) -> None:
    parameters = {name: value for name, (_, _, value) in OPTIONS.items()}
    async with over_tcp(database_url) as port:
        url = address(database_url, port, **parameters, application_name="x%20y", options="-c%20geqo=off")
        connection = await connect(address_of(url), timeout=5)
        link = connection._transport.get_extra_info("socket")  # noqa: SLF001 - it has no public name
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for level, option, value in OPTIONS.values():
            assert link.getsockopt(level, getattr(socket, option)) == value
        assert await connection.fetchval("SHOW application_name") == "x y"
        assert await connection.fetchval("SHOW geqo") == "off"
        await connection.close()
