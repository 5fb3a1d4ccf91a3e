"""The running service keeps what its OpenAPI document promises, whatever is sent."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.migrations import ROOT
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

FOR_ADMINISTRATORS = {"PATCH /api/v1/users/{user_id}", "POST /api/v1/users/"}
FOR_OWNERS = {"PUT /api/v1/projects/{project_id}/members/{user_id}"}
FOR_EDITORS = {
    "PUT /api/v1/projects/{project_id}",
    "PATCH /api/v1/projects/{project_id}",
    "POST /api/v1/projects/{project_id}/tasks/",
    "POST /api/v1/projects/{project_id}/tasks/batch",
    "PUT /api/v1/tasks/{task_id}",
    "PATCH /api/v1/tasks/{task_id}",
}
ALWAYS_REFUSED = {
    "viewer": FOR_ADMINISTRATORS | FOR_OWNERS | FOR_EDITORS,
    "editor": FOR_ADMINISTRATORS | FOR_OWNERS,
    "owner": FOR_ADMINISTRATORS,
}

UNCOUNTED = {"logout", "create_api_key", "update_me", "delete_me", "delete_session"}
"""What asks who is calling, and of which the configuration wants no warning."""


def token_of(service: Service, username: str = "admin", password: str = "1234") -> str:  # noqa: S107 - the seed's
    """An access token of this person."""
    with service.client() as client:
        answer = client.post("/api/v1/auth/login", json={"username": username, "password": password})
        token: str = answer.raise_for_status().json()["access_token"]
        return token


def member(service: Service, role: str) -> dict[str, str]:
    """Somebody who has this role in somebody else's project with tasks, as the hooks learn of them."""
    with service.client(headers={"Authorization": f"Bearer {token_of(service)}"}) as admin:

        def made(method: str, path: str, **body: Any) -> Any:
            return admin.request(method, f"/api/v1{path}", json=body).raise_for_status().json()

        person = made("POST", "/auth/register", username=role, password=PASSWORD)
        project = made("POST", "/projects/", name="Shared")["id"]
        tasks = [made("POST", f"/projects/{project}/tasks/", title=f"Task {number}")["id"] for number in range(20)]
        made("PUT", f"/projects/{project}/members/{person['id']}", role=role)
    return {
        "TALLER_TOKEN": token_of(service, role, PASSWORD),
        "TALLER_PROJECT": project,
        "TALLER_TASKS": " ".join(tasks),
    }


def assert_document_kept(service: Service, directory: Path, configuration: str, caller: dict[str, str]) -> str:
    """Every check of Schemathesis passes; what it said."""
    (directory / "schemathesis.toml").write_text(configuration)
    found = subprocess.run(  # noqa: S603 - our own program
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={directory / 'schemathesis.toml'}",
            "--no-color",
            "run",
            f"{service.url}/openapi.json",
        ],
        cwd=directory,
        env={
            "PYTHONPATH": str(ROOT),
            "TALLER_URL": service.url,
            "HOME": str(directory),
            # Where it finds which characters there are, which takes a second to find out; it keeps no examples there.
            "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
            **caller,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    if found.returncode != 0:
        pytest.fail(f"{found.stdout}\n{found.stderr}\n{service.log_tail()}", pytrace=False)
    return found.stdout


@pytest.fixture(scope="module")
def shared(server_url: str) -> Iterator[Service]:
    """One service for members and strangers, who do nothing to each other."""
    with running_service(server_url, environment=ENVIRONMENT) as service:
        yield service


# 30 seconds, but several times that where other tests want the processors too.
@pytest.mark.timeout(180)
def test_no_answer_breaks_the_openapi_document(server_url: str, tmp_path: Path) -> None:
    with running_service(server_url, environment=ENVIRONMENT) as service:
        assert_document_kept(service, tmp_path, CONFIGURATION.read_text(), {"TALLER_TOKEN": token_of(service)})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("role", list(ALWAYS_REFUSED))
def test_nor_does_one_to_a_member(shared: Service, tmp_path: Path, role: str) -> None:
    said = assert_document_kept(shared, tmp_path, _shortened(), member(shared, role))
    assert _always(said, "403 Forbidden") == ALWAYS_REFUSED[role]


@pytest.mark.timeout(180)
def test_nor_does_one_to_a_stranger(shared: Service, tmp_path: Path) -> None:
    # What answers tell would sign the stranger in.
    forgetful = "".join(
        f"[phases.{phase}.extra-data-sources]\nresponses = false\n" for phase in ("examples", "fuzzing")
    )
    configuration = unsigned(_shortened()) + forgetful
    said = assert_document_kept(shared, tmp_path, configuration, {})
    with shared.client() as client:
        document = client.get("/openapi.json").json()
    assert _always(said, "401 Unauthorized") == {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") and operation["operationId"] not in UNCOUNTED
    }


def unsigned(configuration: str) -> str:
    """The configuration for whoever has no token."""
    without, found = re.subn(r"\[auth\.openapi\.bearer\]\nbearer = .*\n", "", configuration)
    assert found
    return without


def _shortened() -> str:
    """Fewer examples, and not once more every edge of every parameter, which are the same for every caller; that much
    is refused is no misconfiguration; and the walks are those of test_schemathesis_state.py.
    """
    text = CONFIGURATION.read_text()
    for usual, other in (("max-examples = 20", "max-examples = 5"), ("fail-on = true", "fail-on = false")):
        assert usual in text
        text = text.replace(usual, other)
    return f"{text}\n[phases.coverage]\nenabled = false\n\n[phases.stateful]\nenabled = false\n"


def _always(said: str, answer: str) -> set[str]:
    """What Schemathesis warns of: the operations that answered nothing else."""
    listed = re.search(rf"^{answer} \(\d+ operations?\):\n((?:  - .+\n)+)", said, re.MULTILINE)
    return set(re.findall(r"^  - (.+)$", listed[1], re.MULTILINE)) if listed else set()
