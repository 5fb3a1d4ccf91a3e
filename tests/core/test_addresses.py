"""Addresses of databases: which parameters are understood or refused, and which of several hosts is connected to."""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from app.core.addresses import CHOICES, FILES, NUMBERS, UNSUPPORTED, AddressError, address_of, connect
from app.core.errors import UnavailableError
from tests.operations.support import run_command

SECRET = "q7zx-password"

LIBPQ = re.findall(
    r"\w+",
    """
    host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout
    client_encoding options application_name fallback_application_name keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout replication gssencmode sslmode requiressl
    sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert
    sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version
    min_protocol_version max_protocol_version krbsrvname gsslib gssdelegation scram_client_key
    scram_server_key service servicefile target_session_attrs load_balance_hosts oauth_issuer
    oauth_client_id oauth_client_secret oauth_scope
    """,
)
"""Every parameter of libpq 18."""


def value_of(name: str, path: Path) -> str:
    if name in FILES:
        path.touch()
        return str(path)
    return CHOICES.get(name, ("7",))[0] if name not in NUMBERS else str(NUMBERS[name][1])


@pytest.mark.parametrize("name", LIBPQ)
def test_every_parameter_of_libpq_is_understood_or_refused_by_its_name(name: str, tmp_path: Path) -> None:
    url = f"postgresql://u:{SECRET}@h/d?{name}={value_of(name, tmp_path / 'file')}"
    if name in UNSUPPORTED:
        with pytest.raises(AddressError, match=f"^{name} is not supported$"):
            address_of(url)
    else:
        address_of(url)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("channel_binding=require", "channel_binding must be disable or prefer"),
        ("target_session_attrs=standby", "target_session_attrs must be any or primary or read-write"),
        ("sslmode=on", "sslmode must be"),
        ("connect_timeout=soon", "connect_timeout must be a whole number from 1 to 60"),
        ("connect_timeout=0", "connect_timeout must be"),
        ("keepalives=yes", "keepalives must be"),
        ("sslrootcert=/nowhere/ca.crt", "sslrootcert names no file"),
        ("sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("sslnegotiation=direct", "sslnegotiation=direct needs"),
        ("colour=red", "colour is no parameter"),
        ("port=1,2", "one for each host"),
        ("port=x", "port must be"),
        ("sslmode=require&sslmode=disable", "sslmode is given twice"),
        (f"{SECRET}@h/d", "not a database address|what follows the question mark"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_without_the_password(query: str, message: str) -> None:
    with pytest.raises(AddressError, match=message) as refused:
        address_of(f"postgresql://u:{SECRET}@h/d?{query}")
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@h1,h2/d", (("h1", None), ("h2", None))),
        ("postgresql://u@h1:1,[::1]:2,10.0.0.1:3/d", (("h1", 1), ("::1", 2), ("10.0.0.1", 3))),
        ("postgresql://u@h1,h2/d?port=7", (("h1", 7), ("h2", 7))),
        ("postgresql:///d?host=h1,/run/x&port=1,2", (("h1", 1), ("/run/x", 2))),
        ("postgres://u@%2Frun%2Fx:5/d", (("/run/x", 5),)),
        ("postgresql:///d", ()),
    ],
)
def test_hosts_are_read_as_libpq_reads_them(url: str, hosts: tuple[tuple[str, int | None], ...]) -> None:
    assert address_of(url).hosts == hosts


@pytest.mark.parametrize("command", ["run", "migrate", "users list", "keys revoke 7", "doctor"])
def test_every_command_refuses_such_an_address_in_one_line(command: str, tmp_path: Path) -> None:
    url = f"postgresql://u:{SECRET}@h1,h2/d?channel_binding=require"
    done = run_command(tmp_path, *command.split(), TALLER_DATABASE_URL=url)
    assert done.returncode == 1
    assert "channel_binding must be disable or prefer" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize("command", ["migrate", "users list"])
def test_a_command_says_in_one_line_why_there_is_no_connection(command: str, tmp_path: Path) -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:1,127.0.0.1:2/d?connect_timeout=2"
    done = run_command(tmp_path, *command.split(), TALLER_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("taller: ")
    assert "Connect call failed" in done.stderr or "refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


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
