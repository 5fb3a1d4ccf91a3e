"""`taller restored`: after a backup was restored, nothing comes back that was taken away after it was made."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.auth.models import User
from app.cli import versions
from app.cli.upgrading import upgrade
from app.core.database.database import Database
from devtools.postgres import binaries
from tests.migrations.history import empty_database
from tests.operations.test_cli_accounts import taller
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api
from tests.support.factories import store
from tests.support.process import Service, running_service, sign_in
from tests.tasks.factories import TaskFactory

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def restoring(server_url: str) -> Iterator[Service]:
    """A service whose database is restored."""
    with running_service(server_url) as service:
        yield service


def tag_after(client: httpx2.Client, path: str, change: dict[str, Any]) -> str:
    answer = client.patch(path, json=change)
    assert answer.status_code == 200, answer.text
    tag: str = answer.json()["etag"]
    return tag


def run(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs."""
    subprocess.run([binaries() / program, *arguments], check=True)  # noqa: S603 - of the wheel


def test_nothing_that_was_taken_away_after_a_backup_comes_back(restoring: Service, tmp_path: Path) -> None:
    backup, service = str(tmp_path / "backup"), restoring
    with service.client() as client:
        environment = server.variables(server.way_to(service.database_url))
        address = server.plain_url(service.database_url)
        sign_in(client)
        project = client.post("/projects/", json={"name": "Workshop"}).json()

        def create_task() -> httpx2.Response:
            path, headers = f"/projects/{project['id']}/tasks/", {"Idempotency-Key": "first"}
            return client.post(path, json={"title": "Saw"}, headers=headers)

        task = create_task().json()
        key = client.post("/auth/api-keys", json={"name": "k", "scopes": ["projects:read"]}).json()
        login = {"username": "ada"}
        login["password"] = client.post("/users/", json=login).json()["one_time_password"]
        changes = (f"/tasks/{task['id']}", "title"), (f"/projects/{project['id']}", "name")
        kept = {path: tag_after(client, path, {name: "Kept"}) for path, name in changes}
        seen: dict[str, list[str]] = {path: [] for path in kept}
        run("pg_dump", "-Fc", "-f", backup, address)

        for round_ in range(2):
            for path, name in changes:
                seen[path] += [tag_after(client, path, {name: f"Lost {round_} {number}"}) for number in range(3)]
            if round_ == 0:
                assert client.delete(f"/auth/api-keys/{key['id']}").status_code == 204
                assert client.post("/auth/login", json=login).status_code == 200
            service.stop()
            # What is promised holds for rows that change once a second at most, in the long run.
            time.sleep(len(seen[path]) + 1)
            run("pg_restore", "--clean", "-d", address, backup)
            for _ in range(2 - round_):
                said = taller(environment, "restored", "--revoke-keys").stdout
                assert "no tag of before names another state" in said
            service.start()

            assert client.get("/auth/me").status_code == 401
            client.headers.pop("Authorization")
            by_key = client.get("/projects/", headers={"X-API-Key": key["secret"]})
            assert by_key.json()["code"] == "api_key_revoked"
            assert client.post("/auth/login", json=login).status_code == 401
            sign_in(client)
            assert "idempotent-replayed" not in create_task().headers
            for path, name in changes:
                # The state of the backup has the tag that it had, and no later state has a tag that another one had.
                if path.startswith("/tasks/"):
                    assert client.get(path, headers={"If-None-Match": kept[path]}).status_code == 304
                current = tag_after(client, path, {name: f"Round {round_}"})
                assert current not in seen[path]
                for lost in seen[path]:
                    assert client.get(path, headers={"If-None-Match": lost}).status_code == 200
                    assert client.patch(path, json={name: "Blind"}, headers={"If-Match": lost}).status_code == 412
                seen[path].append(current)


def test_a_backup_of_an_earlier_release_is_migrated_first(server_url: str) -> None:
    with empty_database(server_url) as url:
        upgrade(url, "0010")
        said = taller({"TALLER_DATABASE_URL": url}, "restored", "--keep-keys", fails=True).stderr
    assert "run `taller migrate` first" in said


def test_what_becomes_of_keys_is_said(restoring: Service) -> None:
    with restoring.client() as client:
        sign_in(client)
        key = client.post("/auth/api-keys", json={"name": "k", "scopes": ["projects:read"]}).json()
        environment = server.variables(server.way_to(restoring.database_url))
        assert "--revoke-keys or --keep-keys" in taller(environment, "restored", fails=True).stderr
        assert client.get("/projects/").status_code == 200
        assert "kept: all API keys" in taller(environment, "restored", "--keep-keys").stdout
        client.headers.pop("Authorization")
        assert client.get("/projects/", headers={"X-API-Key": key["secret"]}).status_code == 200


async def test_connections_that_are_open_number_states_from_the_new_base(
    api: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id)
    await store(database, task)

    async def numbers() -> list[int]:
        titles = [f"{number}" for number in range(12)]
        tags = [(await api.patch(f"/tasks/{task.id}", json={"title": title})).json()["etag"] for title in titles]
        return [int(tag.strip('"tb')) for tag in tags]

    try:
        first = await numbers()
        assert first == list(range(2, 14))
        async with database.transaction() as transaction:
            base = await versions.renew(transaction)
        assert await numbers() == [base + number for number in range(1, 13)]
        assert base > 10_000_000
    finally:
        await database.execute(
            text("CREATE OR REPLACE FUNCTION version_base() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 0'")
        )
