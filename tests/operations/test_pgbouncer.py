"""The real service through a real PgBouncer in transaction mode, whose few server connections all requests share."""

import asyncio
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from devtools.pgbouncer import knows_prepared_statements
from tests.operations.support import run_command
from tests.support import server
from tests.support.bouncer import running_bouncer
from tests.support.process import Service

pytestmark = pytest.mark.slow

AT_ONCE = 50
JOURNEYS = AT_ONCE
PEOPLE = {name: {"username": name, "password": "correct horse battery"} for name in ("ana", "ben")}

OUR_PARAMETERS = "statement_timeout,idle_in_transaction_session_timeout,jit,plan_cache_mode,enable_seqscan,enable_sort"


@pytest.fixture
def database(server_url: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"{server.PREFIX}bounced_{os.getpid()}"
    with server.database_copy(server_url, name) as url:
        yield url


@contextmanager
def service_behind(bouncer: str, **settings: Any) -> Generator[Service]:
    """The service, started, whose database address leads to this bouncer."""
    variables = server.variables({**server.through(bouncer), **settings})
    with (
        tempfile.TemporaryDirectory(prefix="taller-service-") as directory,
        Service(bouncer, Path(directory), variables) as service,
    ):
        service.start()
        yield service


async def many_journeys(service: Service) -> None:
    """Reads, writes, transactions of several statements and refusals, 50 at once. Fails if one answer is not right."""
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as client:

        async def expect(status: int, method: str, path: str, **options: Any) -> Any:
            answer = await client.request(method, path, **options)
            assert answer.status_code == status, f"{method} {path} was answered {answer.status_code}: {answer.text}"
            return answer.json() if answer.content else None

        async def journey(number: int) -> None:
            project = await expect(201, "POST", "/projects/", json={"name": f"Number {number}"})
            here = f"/projects/{project['id']}"
            task = await expect(201, "POST", f"{here}/tasks/", json={"title": "First", "priority": number})
            await expect(201, "PUT", f"{here}/members/{ben['id']}", json={"role": "viewer"})
            assert (await expect(200, "GET", f"{here}/tasks/"))["items"] == [task]
            await expect(200, "PUT", f"/tasks/{task['id']}", json={"completed": True})
            await expect(404, "GET", f"/projects/{task['id']}")
            key = await expect(201, "POST", "/auth/api-keys", json={"name": "One of many", "scopes": ["tasks:read"]})
            by_key = {"X-API-Key": key["secret"], "Authorization": ""}
            await expect(403, "DELETE", f"/tasks/{task['id']}", headers=by_key)
            await expect(204, "DELETE", f"/auth/api-keys/{key['id']}")
            assert (await expect(200, "GET", here))["tasks_completed"] == 1
            await expect(204, "DELETE", here if number % 2 else f"/tasks/{task['id']}")

        async def journeys(numbers: range) -> None:
            for number in numbers:
                await journey(number)

        ben = await expect(201, "POST", "/auth/register", json=PEOPLE["ben"])
        await expect(201, "POST", "/auth/register", json=PEOPLE["ana"])
        signed_in = await expect(200, "POST", "/auth/login", json=PEOPLE["ana"])
        client.headers["authorization"] = f"Bearer {signed_in['access_token']}"
        ended = await asyncio.gather(
            *(journeys(range(first, JOURNEYS, AT_ONCE)) for first in range(AT_ONCE)), return_exceptions=True
        )
        wrong = [end for end in ended if end is not None]
        assert not wrong, f"{len(wrong)} of {AT_ONCE} failed: {wrong[0]}"
        assert (await expect(200, "GET", "/projects/"))["total"] == JOURNEYS // 2


# With one, below, each transaction waits for the one before; with two, a statement meets a connection that does not
# know it.
def test_fifty_requests_share_few_server_connections_without_failing(database: str) -> None:
    with (
        running_bouncer(database, servers=2) as bouncer,
        service_behind(bouncer, pgbouncer_prepared_statements=False) as service,
    ):
        asyncio.run(many_journeys(service))


# A single server connection knows all statements of one process, whatever the version of PgBouncer.
@pytest.mark.parametrize("servers", [1, *([2] if knows_prepared_statements() else [])])
def test_fifty_requests_share_statements_that_stay_prepared(database: str, servers: int) -> None:
    with (
        running_bouncer(database, servers=servers) as bouncer,
        service_behind(bouncer, pgbouncer_prepared_statements=True) as service,
    ):
        asyncio.run(many_journeys(service))


def test_without_the_setting_the_same_requests_fail(database: str) -> None:
    # The bouncer is told to let our parameters pass by, or nothing would get as far.
    options = {"ignore_startup_parameters": OUR_PARAMETERS}
    if knows_prepared_statements():
        options["max_prepared_statements"] = "0"
    with (
        running_bouncer(database, servers=2, options=options) as bouncer,
        pytest.raises(AssertionError, match=r"was answered 500|did not become ready"),
        service_behind(bouncer, pgbouncer=False, pgbouncer_prepared_statements=False) as service,
    ):
        asyncio.run(many_journeys(service))


def test_migrations_refuse_to_run_through_it(tmp_path: Path) -> None:
    for command in (("migrate",), ("migration", "add labels"), ("dev",)):
        done = run_command(
            tmp_path, *command, TALLER_DATABASE_URL="postgresql://x@127.0.0.1:1/x", TALLER_PGBOUNCER="true"
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("taller: Migrations must not run through PgBouncer")
