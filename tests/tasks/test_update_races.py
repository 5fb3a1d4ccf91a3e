"""Of those who saw the same and change it at the same moment, one wins: over real connections, to a real process."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from httpx2 import Client, Response

from tests.support.client import assert_problem
from tests.support.process import Service

pytestmark = pytest.mark.slow

WRITERS = 20


@pytest.fixture
def token(service: Service) -> str:
    return service.token()


@pytest.fixture
def admin(service: Service, token: str) -> Iterator[Client]:
    with service.client(headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.fixture
def project(admin: Client) -> str:
    """The address of a new project."""
    return f"/projects/{admin.post('/projects/', json={'name': 'Workshop'}).json()['id']}"


@pytest.fixture
def task(admin: Client, project: str) -> str:
    """The address of a new task."""
    return f"/tasks/{admin.post(f'{project}/tasks/', json={'title': 'Saw'}).json()['id']}"


def raced(service: Service, headers: dict[str, str], write: Callable[[Client, int], Response]) -> list[Response]:
    """The answers to as many writers as there are, each on a connection of its own, all let go at once."""
    gate = Barrier(WRITERS)

    def run(number: int) -> Response:
        with service.client(headers=headers) as client:
            client.get("/health/live")
            gate.wait(30)
            return write(client, number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, range(WRITERS)))


@pytest.mark.parametrize("kind", ["project", "task"])
def test_one_of_twenty_writers_with_the_same_tag_wins(
    service: Service, admin: Client, request: pytest.FixtureRequest, kind: str
) -> None:
    address, member = request.getfixturevalue(kind), {"project": "name", "task": "title"}[kind]
    tag = admin.get(address).headers["etag"]
    headers = {"Authorization": admin.headers["authorization"], "If-Match": tag}
    answers = raced(
        service,
        headers,
        lambda client, number: client.patch(address, json={member: f"Writer {number}"}),
    )
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer is not winner:
            assert_problem(answer, 412, "precondition_failed")
            assert answer.headers["etag"] == winner.headers["etag"] != tag
    assert admin.get(address).json() == winner.json()


@pytest.mark.parametrize("kind", ["project", "task"])
def test_one_of_twenty_deletions_with_the_same_tag_wins(
    service: Service, admin: Client, request: pytest.FixtureRequest, kind: str
) -> None:
    address = request.getfixturevalue(kind)
    headers = {"Authorization": admin.headers["authorization"], "If-Match": admin.get(address).headers["etag"]}
    answers = raced(service, headers, lambda client, _: client.delete(address))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * (WRITERS - 1)


@pytest.mark.parametrize("kind", ["project", "task"])
def test_twenty_writers_without_tags_all_write(
    service: Service, admin: Client, request: pytest.FixtureRequest, kind: str
) -> None:
    address, member = request.getfixturevalue(kind), {"project": "name", "task": "title"}[kind]
    headers = {"Authorization": admin.headers["authorization"]}
    answers = raced(service, headers, lambda client, number: client.patch(address, json={member: f"Writer {number}"}))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["etag"] for answer in answers}) == WRITERS
