"""Addresses of databases: which parameters are understood or refused."""

import re
from pathlib import Path

import pytest

from app.core.addresses import CHOICES, FILES, NUMBERS, AddressError, address_of
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

UNSUPPORTED = {
    *("hostaddr", "oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope", "replication"),
    *("require_auth", "requirepeer", "scram_client_key", "scram_server_key", "service", "servicefile"),
    *("sslcrldir", "sslkeylogfile"),
}
"""Those that asyncpg does not have."""


def value_of(name: str, path: Path) -> str:
    if name in FILES:
        path.touch()
        return str(path)
    return CHOICES.get(name, ("7",))[0] if name not in NUMBERS else str(NUMBERS[name][1])


@pytest.mark.parametrize("name", LIBPQ)
def test_every_libpq_parameter_is_supported_or_refused_by_name(name: str, tmp_path: Path) -> None:
    url = f"postgresql://u:{SECRET}@h/d?{name}={value_of(name, tmp_path / 'file')}"
    if name in UNSUPPORTED:
        with pytest.raises(AddressError, match=f"^{name} is not supported here"):
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
        ("sslrootcert=/nowhere/ca.crt", "sslrootcert must name an existing file"),
        ("sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("sslnegotiation=direct", "sslnegotiation=direct needs"),
        ("colour=red", "colour is not supported here"),
        ("port=1,2", "one for each host"),
        ("port=x", "port must be"),
        ("sslmode=require&sslmode=disable", "sslmode is given more than once"),
        (f"{SECRET}@h/d", "not a database address|a name after the question mark"),
    ],
)
def test_invalid_address_is_refused_without_the_password(query: str, message: str) -> None:
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
def test_command_explains_a_failed_connection_in_one_line(command: str, tmp_path: Path) -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:1,127.0.0.1:2/d?connect_timeout=2"
    done = run_command(tmp_path, *command.split(), TALLER_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("taller: ")
    assert "Cannot use postgresql://u@127.0.0.1:1,127.0.0.1:2/d: the connection is refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
