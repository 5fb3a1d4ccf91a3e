"""Every command, with everything that an operator gets wrong: one line that names the place and the way on."""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import click
import pytest

from app import __version__
from app.cli.main import main, taller
from app.cli.serving import introduce
from app.core.config import Settings
from devtools.postgres import EmbeddedPostgres
from tests.operations.support import run_command
from tests.support import server
from tests.support.process import CHEAP

pytestmark = pytest.mark.slow

PASSWORD = "q7zx-password"
SAMPLES = {
    "username": "ada",
    "name": "report",
    "key_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
    "scopes": "tasks:read",
    "revoke_keys": "--keep-keys",
}
NEEDS_NO_DATABASE = {("openapi",), ("completion",), ("config",)}


def commands() -> dict[tuple[str, ...], list[str]]:
    """Every command with what it needs, found in the program itself."""

    def below(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        if isinstance(command, click.Group):
            for name, sub in command.commands.items():
                yield from below(sub, *path, name)
            return
        given: list[str] = []
        for parameter in command.params:
            assert parameter.name is not None
            if parameter.required and isinstance(parameter, click.Option):
                given += [parameter.opts[0], SAMPLES[parameter.name]]
            elif isinstance(parameter, click.Argument) or parameter.name == "revoke_keys":
                given.append(SAMPLES.get(parameter.name, ""))
        yield path, given

    return dict(below(taller))


ALL = {path: given for path, given in commands().items() if path not in NEEDS_NO_DATABASE}
ON_DATABASE = {path: given for path, given in ALL.items() if path != ("run",)}
"""`run` serves while there is no database, and so recovers with it."""

MIGRATING = {("migrate",), ("dev",), ("migration",)}


def refusals(directory: Path, chosen: dict[tuple[str, ...], list[str]], **variables: str) -> dict[tuple[str, ...], str]:
    """What these commands say last, each of which must fail in lines of its own without secrets."""
    said = {}
    for path, given in chosen.items():
        done = run_command(directory, *path, *given, typed=f"{PASSWORD}\n", **{**CHEAP, **variables})
        assert_told(done)
        said[path] = done.stderr.splitlines()[-1]
    return said


def assert_told(done: CompletedProcess[str]) -> None:
    # `doctor` tells first what it has found.
    assert done.returncode == 1, (done.args, done.stderr)
    assert done.stdout == "" or done.args[0] == "doctor", done.args
    assert all(line.startswith("taller: ") for line in done.stderr.splitlines()), (done.args, done.stderr)
    assert PASSWORD not in done.stderr


@pytest.fixture(scope="module")
def strict() -> Iterator[int]:
    """The TCP port of a server that asks for passwords, with a role that may do nothing and an empty database."""
    port = free_port()
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="taller-strict-", ignore_cleanup_errors=True) as name,
    ):
        rules = Path(name, "pg_hba.conf")
        rules.write_text("local all all trust\nhost all refused 127.0.0.1/32 reject\nhost all all all scram-sha-256\n")
        rules.chmod(0o644)
        Path(name).chmod(0o755)
        options = {"listen_addresses": "127.0.0.1", "hba_file": str(rules)}
        # Of the server, and of those that look for it at its socket.
        patch.setenv("PGPORT", str(port))
        with EmbeddedPostgres(Path(name, "data"), options=options) as postgres:
            server.execute(
                postgres.url(),
                f"CREATE ROLE weak LOGIN PASSWORD '{PASSWORD}'",
                "CREATE DATABASE blank",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            )
            patch.undo()
            yield port


@pytest.mark.parametrize(
    ("login", "database", "said"),
    [
        ("weak:wrong", "blank", "password authentication failed.*Check the user and the password"),
        (f"nobody:{PASSWORD}", "blank", "password authentication failed.*Check the user and the password"),
        (f"refused:{PASSWORD}", "blank", "pg_hba.conf rejects.*Check the user"),
        (f"weak:{PASSWORD}", "absent", 'database "absent" does not exist.*Create the database'),
        (f"weak:{PASSWORD}", "blank?sslmode=require", "rejected SSL upgrade.*Check"),
    ],
)
def test_a_login_that_is_refused(strict: int, tmp_path: Path, login: str, database: str, said: str) -> None:
    url = f"postgresql://{login}@127.0.0.1:{strict}/{database}"
    place = f"Cannot use postgresql://{login.partition(':')[0]}@127.0.0.1:{strict}/{database.partition('?')[0]}: "
    for path, line in refusals(tmp_path, ON_DATABASE, TALLER_DATABASE_URL=url).items():
        assert line.startswith(f"taller: {place}"), path
        assert re.search(said, line), (path, line)


def test_a_role_that_may_not_create_tables(strict: int, tmp_path: Path) -> None:
    url = f"postgresql://weak:{PASSWORD}@127.0.0.1:{strict}/blank"
    said = refusals(tmp_path, ON_DATABASE, TALLER_DATABASE_URL=url)
    for path, line in said.items():
        expected = "permission denied for schema public.*must own its database"
        assert re.search(expected if path in MIGRATING else "[Rr]un `taller migrate`", line), (path, line)
    # Nor does the service start on what is not migrated.
    done = run_command(tmp_path, "run", TALLER_DATABASE_URL=url, TALLER_PORT=str(free_port()), TALLER_LOG_FORMAT="text")
    first, last = done.stderr.splitlines()
    assert first.endswith(
        f"Taller {__version__} schema=none workers=1 database=postgresql://weak@127.0.0.1:{strict}/blank"
    )
    assert re.fullmatch(r"taller: The schema \(none\) is older .*: run `taller migrate` first\.", last)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("127.0.0.1:1", "the connection is refused. Check the host and the port"),
        ("nowhere.invalid:5432", "the name of the host is not known. Check the host and the port"),
        ("%2Fnowhere", "No such file or directory. Check the host"),
    ],
)
def test_an_address_where_nothing_is(tmp_path: Path, place: str, said: str) -> None:
    url = f"postgresql://weak:{PASSWORD}@{place}/blank"
    for path, line in refusals(tmp_path, ON_DATABASE, TALLER_DATABASE_URL=url).items():
        assert said in line, (path, line)


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[int]:
    """The port of something that agrees to TLS, with a certificate that nobody knows."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=stranger"
    subprocess.run(  # noqa: S603 - no input
        [*command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
                with client:
                    client.recv(8)
                    client.sendall(b"S")
                    context.wrap_socket(client, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_certificate_that_nobody_knows(stranger: int, tmp_path: Path) -> None:
    url = f"postgresql://weak:{PASSWORD}@127.0.0.1:{stranger}/blank?sslmode=verify-full&sslrootcert=system"
    for path, line in refusals(tmp_path, ON_DATABASE, TALLER_DATABASE_URL=url).items():
        assert re.search(r"certificate verify failed.*Check sslmode, sslrootcert", line), (path, line)


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    chosen = {path: given for path, given in ON_DATABASE.items() if path != ("migrate",)}
    for path, line in refusals(tmp_path, chosen, TALLER_DATA_DIR="file").items():
        assert re.search(rf"Cannot keep data in {tmp_path}/file: .*\. Choose another TALLER_DATA_DIR", line), (
            path,
            line,
        )


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", "address already in use. Stop what uses it, or choose another TALLER_PORT."),
        ("192.0.2.1", "cannot assign requested address. This machine does not have the address: correct TALLER_HOST."),
        ("nowhere.invalid", "the host is not known. Correct TALLER_HOST."),
    ],
)
def test_address_that_is_not_free_is_noticed_before_the_start(tmp_path: Path, host: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = {"TALLER_DATABASE_URL": f"postgresql://weak:{PASSWORD}@127.0.0.1:1/blank"}
        for command, given in (("run", variables), ("dev", variables), ("dev", {})):
            (line,) = refusals(tmp_path, {(command,): []}, TALLER_PORT=port, TALLER_HOST=host, **given).values()
            assert line == f"taller: Cannot listen on {host}:{port}: {said}"
    assert list(tmp_path.iterdir()) == []


def test_first_log_lines_say_version_schema_and_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(_env_file=None, database_url=f"postgresql://weak:{PASSWORD}@127.0.0.1:1/blank", workers=2)
    with caplog.at_level("INFO"):
        introduce(settings)
    first, second = caplog.records
    assert (first.getMessage(), vars(first)["schema"], vars(first)["workers"]) == (
        f"Taller {__version__}",
        "unknown",
        2,
    )
    assert vars(first)["database"] == "postgresql://weak@127.0.0.1:1/blank"
    assert second.getMessage().startswith("Cannot use postgresql://weak@127.0.0.1:1/blank: the connection is refused. ")


def test_every_command_names_all_that_is_wrong_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TALLER_WORKRES=2\n")
    for path, given in commands().items():
        if path == ("completion",):
            continue
        done = run_command(tmp_path, *path, *given, TALLER_PORT="0", TALLER_LOG_LEVEL="loud")
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            "taller: The settings are invalid:",
            "  TALLER_PORT must be a whole number from 1 to 65535.",
            "  TALLER_LOG_LEVEL must be debug or info or warning or error.",
            "  TALLER_WORKRES is not a setting: did you mean TALLER_WORKERS?",
        ], path


def test_settings_are_shown_as_they_stand(tmp_path: Path) -> None:
    done = run_command(tmp_path, "config", TALLER_PORT="8001")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = [line.split() for line in done.stdout.splitlines()]
    assert heading == ["SETTING", "VALUE", "FROM"]
    assert ["TALLER_PORT", "8001", "environment"] in rows
    by_program = json.loads(run_command(tmp_path, "config", "--json").stdout)
    assert {"name": "TALLER_PORT", "value": "8000", "source": "default", "problem": None} in by_program


def test_a_reader_that_goes_is_no_fault(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # As `| head` leaves it.
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "bash"])
    assert stopped.value.code == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("command", [["openapi"], ["completion", "bash"], ["config"]])
def test_unwritable_output_is_no_fault_of_the_database(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full, Path(os.devnull).open("w", encoding="utf-8") as null:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == "taller: Cannot write the output: No space left on device."
        # What is left in its buffer can then be written.
        os.dup2(null.fileno(), full.fileno())


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as reserved:
        return int(reserved.getsockname()[1])
