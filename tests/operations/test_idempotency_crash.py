"""Idempotency keys where they are needed: several processes, and one of them killed in the very moment."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.support.keys import REPLAYED, assert_replay, keyed
from tests.support.process import Service
from tests.support.stalling_proxy import StallingProxy

pytestmark = pytest.mark.slow

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""What passes through the proxy: the query and its answer."""


def signed_in(service: Service) -> httpx2.Client:
    """The seed's admin."""
    return service.client(headers={"Authorization": f"Bearer {service.token()}"})


TASK = {"title": "Sweep"}
BATCH = {"operations": [{"op": "create", "task": TASK}]}


def new_project(client: httpx2.Client) -> str:
    """The address of its tasks."""
    return f"/projects/{client.post('/projects/', json={'name': 'Workshop'}).json()['id']}/tasks/"


def patiently(client: httpx2.Client, path: str) -> httpx2.Response:
    """The answer to a task whose key is the path, as a client gets it that waits when it is told to."""
    deadline = time.monotonic() + 10
    while (answer := sent(client, path)).status_code == 409:
        assert answer.json()["code"] == "idempotency_key_in_use"
        assert time.monotonic() < deadline
        # As long as it is told to would be a second.
        time.sleep(0.05)
    return answer


def sent(client: httpx2.Client, path: str) -> httpx2.Response:
    """The answer to the same task with the same key."""
    return client.post(path, json=BATCH if path.endswith("batch") else TASK, **keyed(path))


@pytest.mark.parametrize("is_batch", [False, True], ids=["one statement", "a transaction"])
@pytest.mark.parametrize("was_committed", [True, False], ids=["right after the commit", "right before the commit"])
def test_retry_after_a_crash_gets_one_lasting_answer(service: Service, was_committed: bool, is_batch: bool) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="taller-service-") as directory,
        StallingProxy(service.database_url) as proxy,
        Service(proxy.url, Path(directory)) as doomed,
        signed_in(service) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        tasks = new_project(client)
        path = f"{tasks}batch" if is_batch else tasks
        # A single statement is sent with the key, and answered with the task when it is committed.
        query, committed = (COMMIT, COMMITTED) if is_batch else (path.encode(), TASK["title"].encode())
        doomed.start()
        with signed_in(doomed) as lost:
            came = proxy.hold_back(answer=committed) if was_committed else proxy.hold_back(query=query)
            sending = thread.submit(sent, lost, path)
            assert came.wait(20)
            doomed.kill()
            with pytest.raises(httpx2.TransportError):
                sending.result(20)
        assert client.get(tasks).json()["total"] == was_committed

        answer = patiently(client, path)
        assert (answer.status_code, REPLAYED in answer.headers) == (200 if is_batch else 201, was_committed)
        task = answer.json()["results"][0]["task"] if is_batch else answer.json()
        page = client.get(tasks).json()
        assert (page["total"], page["items"]) == (1, [task])
        if not was_committed:
            assert_replay(patiently(client, path), answer)


def test_fifty_at_once_over_two_processes_are_one(service: Service) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="taller-service-") as directory,
        Service(service.database_url, Path(directory)) as other,
        signed_in(service) as here,
        ThreadPoolExecutor(50) as threads,
    ):
        other.start()
        path = new_project(here)
        with signed_in(other) as there:
            replies = list(threads.map(lambda client: sent(client, path), (here, there) * 25))
            (first,) = [reply for reply in replies if reply.status_code == 201 and REPLAYED not in reply.headers]
            for reply in replies:
                if reply.status_code == 409:
                    assert reply.json()["code"] == "idempotency_key_in_use"
                elif reply is not first:
                    assert_replay(reply, first)
            for client in (here, there):
                assert_replay(patiently(client, path), first)
        assert here.get(path).json()["total"] == 1
