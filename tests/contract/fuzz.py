"""Schemathesis against the running service, as everybody who may call it: the tests try the same cases each time,
`make fuzz` new ones.

`make fuzz options="--seed=4711"` repeats a run; `--as=viewer` and `--operations=create_task` make it shorter.
"""

import argparse
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.core.database.migrations import ROOT
from tests.support import server
from tests.support.process import Service, running_service

ENVIRONMENT = {
    # The token is fetched once and has to outlive the run.
    "TALLER_ACCESS_TOKEN_LIFETIME": "86400",
    # Wrong passwords are part of what is tried.
    "TALLER_LOGIN_FAILURES_PER_ACCOUNT": "100000",
    "TALLER_LOGIN_FAILURES_PER_ADDRESS": "100000",
    "TALLER_REGISTRATIONS_PER_ADDRESS": "100000",
    # So that the headers are there to be held to the document.
    "TALLER_RATE_LIMIT": "1000000/60",
    "TALLER_RATE_LIMIT_LOGIN": "1000000/60",
}

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

PASSWORD = "tidy-walnut-lantern-42"

MEMBERS = ("viewer", "editor", "owner")
ADMINISTRATOR, STRANGER = "administrator", "stranger"
EVERYBODY = (ADMINISTRATOR, *MEMBERS, STRANGER)


def member(service: Service, role: str) -> dict[str, str]:
    """Somebody who has this role in somebody else's project with tasks, as the hooks learn of them."""
    with service.client(headers={"Authorization": f"Bearer {service.token()}"}) as admin:

        def made(method: str, path: str, **body: Any) -> Any:
            return admin.request(method, f"/api/v1{path}", json=body).raise_for_status().json()

        person = made("POST", "/auth/register", username=role, password=PASSWORD)
        project = made("POST", "/projects/", name="Shared")["id"]
        tasks = [made("POST", f"/projects/{project}/tasks/", title=f"Task {number}")["id"] for number in range(20)]
        made("PUT", f"/projects/{project}/members/{person['id']}", role=role)
    return {
        "TALLER_TOKEN": service.token(role, PASSWORD),
        "TALLER_PROJECT": project,
        "TALLER_TASKS": " ".join(tasks),
    }


def caller(service: Service, name: str) -> dict[str, str]:
    """One of `EVERYBODY`, as the hooks learn of them."""
    if name == ADMINISTRATOR:
        return {"TALLER_TOKEN": service.token()}
    return {} if name == STRANGER else member(service, name)


def configured(text: str, name: str) -> str:
    """The configuration for one of `EVERYBODY`."""
    if name != STRANGER:
        return text
    # What answers tell would sign the stranger in.
    forgetful = "".join(
        f"[phases.{phase}.extra-data-sources]\nresponses = false\n" for phase in ("examples", "fuzzing")
    )
    return unsigned(text) + forgetful


def unsigned(configuration: str) -> str:
    """The configuration for whoever has no token."""
    without, found = re.subn(r"\[auth\.openapi\.bearer\]\nbearer = .*\n", "", configuration)
    assert found
    return without


def run(
    service: Service,
    directory: Path,
    configuration: str,
    environment: dict[str, str],
    *options: str,
    timeout: int | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Let Schemathesis try every operation."""
    (directory / "schemathesis.toml").write_text(configuration)
    return subprocess.run(  # noqa: S603 - our own program
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={directory / 'schemathesis.toml'}",
            "--no-color",
            "run",
            *options,
            f"{service.url}/openapi.json",
        ],
        cwd=directory,
        env={
            "PYTHONPATH": str(ROOT),
            "TALLER_URL": service.url,
            "HOME": str(directory),
            # Where it finds which characters there are, which takes a second to find out; it keeps no examples there.
            "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """`make fuzz`."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="New cases against the OpenAPI document.")
    parser.add_argument("--seed", type=int, help="repeat the run that had this seed; a new one unless given")
    parser.add_argument("--as", dest="names", default=",".join(EVERYBODY), help="only these callers, by comma")
    parser.add_argument("--operations", default="", help="only these operations, by comma: create_task,login")
    parser.add_argument("--examples", type=int, default=50, help="cases for each operation and kind (50)")
    chosen = parser.parse_args(arguments)
    names = chosen.names.split(",")
    if unknown := set(names) - set(EVERYBODY):
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose from {', '.join(EVERYBODY)}")
    seed = secrets.randbelow(2**31) if chosen.seed is None else chosen.seed
    repeat = f"--seed={seed} --as={chosen.names} --examples={chosen.examples}"
    repeat += f" --operations={chosen.operations}" if chosen.operations else ""
    print(f'seed {seed}; to repeat this: make fuzz options="{repeat}"', flush=True)
    text = CONFIGURATION.read_text().replace("deterministic = true", "deterministic = false")
    options = [f"--seed={seed}", f"--max-examples={chosen.examples}", "--continue-on-failure"]
    options += [f"--include-operation-id={name}" for name in chosen.operations.split(",") if name]
    with _database_server() as url:
        failed = [name for name in names if not _holds(url, name, text, options)]
    if failed:
        sys.exit(f'the document does not hold as {", ".join(failed)}; to repeat this: make fuzz options="{repeat}"')


@contextmanager
def _database_server() -> Generator[str]:
    """A server with a template: those of a test run, or of our own."""
    with server.test_server() as url:
        if server.TEMPLATE_VARIABLE in os.environ:
            yield url
            return
        template = f"{server.PREFIX}template_{os.getpid()}"
        server.create_template(url, template)
        os.environ[server.TEMPLATE_VARIABLE] = template
        try:
            yield url
        finally:
            server.execute(url, f'DROP DATABASE IF EXISTS "{template}" WITH (FORCE)')


def _holds(url: str, name: str, text: str, options: Sequence[str]) -> bool:
    with (
        tempfile.TemporaryDirectory(prefix="taller-fuzz-") as directory,
        running_service(url, environment=ENVIRONMENT) as service,
    ):
        # That much is refused is no misconfiguration.
        quiet = text.replace("fail-on = true", "fail-on = false")
        done = run(service, Path(directory), configured(quiet, name), caller(service, name), *options)
    print(f"as {name}: {'everything holds' if done.returncode == 0 else 'something does not hold'}", flush=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
