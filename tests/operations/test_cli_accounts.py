"""`taller users …` and `taller keys …`, as an operator runs them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import httpx2
import pytest

from app.cli.main import main
from app.core.database.migrations import ROOT
from tests.operations.support import run_command, run_process
from tests.support import server
from tests.support.process import CHEAP, Service, running_service

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple staple staple"


def taller(
    environment: dict[str, str], *arguments: str, typed: str = "", cwd: Path = ROOT, fails: bool = False
) -> CompletedProcess[str]:
    """Run the command with nothing of the developer's own settings."""
    done = run_command(cwd, *arguments, typed=typed, **CHEAP, **environment)
    assert (done.returncode != 0) is fails, done.stderr
    return done


def refusal(environment: dict[str, str], *arguments: str, typed: str = "") -> str:
    """What a command says that cannot be done."""
    done = taller(environment, *arguments, typed=typed, fails=True)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def service(server_url: str) -> Iterator[Service]:
    with running_service(server_url, admin=False, environment={"TALLER_REVOCATION_DELAY": "0.5"}) as service:
        yield service


@pytest.fixture
def environment(service: Service, tmp_path: Path) -> dict[str, str]:
    # A data directory that must not be touched, because an address is given.
    way = server.variables(server.way_to(service.database_url))
    return {**way, "TALLER_DATA_DIR": str(tmp_path / "untouched")}


def sign_in(client: httpx2.Client, username: str, password: str) -> httpx2.Response:
    return client.post("/auth/login", json={"username": username, "password": password})


def me(client: httpx2.Client, headers: dict[str, str]) -> httpx2.Response:
    return client.get("/auth/me", headers=headers)


def refused_soon(client: httpx2.Client, headers: dict[str, str]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if me(client, headers).status_code == 401:
            return True
        time.sleep(0.05)
    return False


def bearer(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_accounts_and_keys_from_the_command_line(service: Service, environment: dict[str, str], tmp_path: Path) -> None:
    with service.client() as client:
        arguments = ("users", "create", "ada", "--email", "ada@example.org")
        done = run_process(ROOT, *arguments, typed=PASSWORD + "\n", **CHEAP, **environment)
        assert done.stdout.startswith("created ada (")
        assert PASSWORD not in done.stdout + done.stderr
        account = me(client, headers := bearer(sign_in(client, "ada", PASSWORD))).json()
        assert (account["email"], account["is_superuser"]) == ("ada@example.org", False)

        taller(environment, "users", "create", "root", "--admin", typed=PASSWORD)
        heading, *listed = [line.split() for line in taller(environment, "users", "list").stdout.splitlines()]
        assert heading == ["ID", "USERNAME", "EMAIL", "ADMIN", "ACTIVE", "CREATED"]
        assert {tuple(line[1:5]) for line in listed} >= {
            ("ada", "ada@example.org", "no", "yes"),
            ("root", "-", "yes", "yes"),
        }
        by_program = json.loads(taller(environment, "users", "list", "--json").stdout)
        assert {(user["username"], user["is_superuser"]) for user in by_program} >= {("ada", False), ("root", True)}

        taller(environment, "users", "promote", "ADA")
        assert me(client, bearer(sign_in(client, "ada", PASSWORD))).json()["is_superuser"] is True

        taller(environment, "users", "demote", "ada")
        assert me(client, bearer(sign_in(client, "ada", PASSWORD))).json()["is_superuser"] is False

        taller(environment, "users", "set-password", "ada", typed=OTHER_PASSWORD + "\n")
        assert refused_soon(client, headers)
        assert sign_in(client, "ada", PASSWORD).status_code == 401
        headers = bearer(sign_in(client, "ada", OTHER_PASSWORD))

        done = taller(environment, "keys", "create", "ada", "report", "--scope", "account:read", "--days", "1")
        key_id, secret = done.stdout.strip().split("\t")
        by_key = {"X-API-Key": secret}
        signed_in_by = me(client, by_key).json()["signed_in_by"]
        assert (signed_in_by["id"], signed_in_by["scopes"]) == (key_id, ["account:read"])
        row = ("ada", "report", secret[:8], "account:read", "-")
        assert key_id in (shown := taller(environment, "keys", "list").stdout)
        assert tuple(shown.splitlines()[1].split()[1:6]) == row
        assert [
            key["id"] for key in json.loads(taller(environment, "keys", "list", "--user", "ada", "--json").stdout)
        ] == [key_id]
        assert json.loads(taller(environment, "keys", "list", "--user", "root", "--json").stdout) == []
        assert secret not in shown
        assert taller(environment, "keys", "revoke", typed=f"{secret}\n").stdout == f"revoked report ({key_id})\n"
        assert refused_soon(client, by_key)
        assert me(client, by_key).json()["code"] == "api_key_revoked"
        assert "does not exist or is already revoked" in refusal(environment, "keys", "revoke", key_id)
        for again in (secret, "tlr_x", ""):
            assert "does not exist or is already revoked" in refusal(environment, "keys", "revoke", typed=again)
        # Whoever gives it as an argument all the same is told how it is done, and it is not shown once more.
        said = refusal(environment, "keys", "revoke", secret)
        assert "standard input" in said
        assert secret not in said

        taller(environment, "users", "deactivate", "ada")
        assert refused_soon(client, headers)
        assert sign_in(client, "ada", OTHER_PASSWORD).status_code == 401
        by_program = json.loads(taller(environment, "users", "list", "--json").stdout)
        assert [user["is_active"] for user in by_program if user["username"] == "ada"] == [False]
        taller(environment, "users", "activate", "ada")
        assert sign_in(client, "ada", OTHER_PASSWORD).status_code == 200
    assert not (tmp_path / "untouched").exists()


PROJECT = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11"


def test_what_cannot_be_done_is_said_in_one_line(environment: dict[str, str]) -> None:
    taller(environment, "users", "create", "Only.Admin", "--admin", typed=PASSWORD)
    done = taller(environment, "users", "create", "only.admin", typed=PASSWORD, fails=True)
    assert done.stdout == ""
    assert done.stderr.splitlines()[1:] == [refusal(environment, "users", "create", "only.admin", typed=PASSWORD)]
    for arguments, typed, said in (
        (("users", "create", "only.admin"), PASSWORD, "username"),
        (("users", "create", "eve"), "short", "at least 8 characters"),
        (("users", "create", "eve"), "password", "common"),
        (("keys", "create", "nobody", "x", "--scope", "tasks:read"), "", "There is no user nobody"),
        (("keys", "create", "Only.Admin", "x", "--scope", "tasks:read", "--project", PROJECT), "", "project"),
    ):
        message = refusal(environment, *arguments, typed=typed)
        assert message.startswith("taller: ")
        assert "\n" not in message
        assert said.lower() in message.lower(), (arguments, message)
        assert not typed or f" {typed}" not in message.replace("common password", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "create", "eve", "--password", PASSWORD),
        ("users", "create", "eve", PASSWORD),
        ("users", "set-password", "eve", PASSWORD),
        ("users", "set-password", "eve", "--password", PASSWORD),
        ("keys", "create", "eve", "x"),
        ("keys", "create", "eve", "x", "--scope", "everything"),
        ("users",),
    ],
)
def test_a_password_is_no_argument(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(("taller: ", "Usage: taller users"))
    assert PASSWORD not in said
