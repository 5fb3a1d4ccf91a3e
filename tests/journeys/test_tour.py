"""What a newcomer does first, on the real service, at the seed's bare addresses and at the canonical ones alike."""

import pytest

from tests.support.process import Service

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_sign_in_create_project_add_tasks_and_page_by_priority(service: Service, prefix: str) -> None:
    with service.client() as client:
        token = client.post(f"{prefix}/auth/login", data={"username": "admin", "password": "1234"}).json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        created = client.post(f"{prefix}/projects/", json={"name": "Workshop"})
        assert created.status_code == 201
        project = client.get(created.headers["location"]).json()
        for title, priority in (("Sweep", 1), ("Buy a workbench", 10), ("Paint", 1), ("Rest", -5)):
            task = {"title": title, "priority": priority, "due_date": "2026-12-01"}
            assert client.post(f"{prefix}/projects/{project['id']}/tasks/", json=task).status_code == 201

        listed = []
        for number in (1, 2, 3):
            page = client.get(f"{prefix}/projects/{project['id']}/tasks/", params={"page": number, "size": 2}).json()
            assert (page["total"], page["pages"]) == (4, 2)
            listed += page["items"]
        assert [task["title"] for task in listed] == ["Buy a workbench", "Paint", "Sweep", "Rest"]

        done = client.put(f"{prefix}/tasks/{listed[0]['id']}", json={"completed": True}).json()
        assert (done["completed"], done["title"], done["priority"]) == (True, "Buy a workbench", 10)
        assert client.delete(f"{prefix}/projects/{project['id']}").status_code == 204
        assert client.get(f"{prefix}/tasks/{listed[0]['id']}").status_code == 404


def test_head_and_addresses_without_slash_work_over_a_socket(service: Service) -> None:
    with service.client() as client:
        head = client.head("/openapi.json")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 1000
        for address in ("/projects", "/projects/", "/api/v1/projects", "/api/v1/projects/"):
            assert client.get(address, follow_redirects=False).status_code == 401


def test_answers_do_not_say_what_serves_them(service: Service) -> None:
    with service.client() as client:
        assert "server" not in client.get("/health/live").headers
