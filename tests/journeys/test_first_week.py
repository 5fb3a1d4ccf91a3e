"""A team's first week, told through HTTP only."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME, create_seed_admin
from app.auth.manager import Authentication
from app.core.database.database import Database
from tests.support.client import Api, assert_problem

PASSWORD = "correct horse battery"


class Person:
    """Somebody at a keyboard: signed in, with the tokens that they were given."""

    def __init__(self, app: FastAPI, tokens: dict[str, Any]) -> None:
        self.api = Api(app, {"Authorization": f"Bearer {tokens['access_token']}"})
        self.refresh_token: str = tokens["refresh_token"]

    async def id(self) -> str:
        """What the service calls this person."""
        answer: str = (await self.get("/auth/me"))["id"]
        return answer

    async def get(self, path: str) -> Any:
        """Read something that is there."""
        response = await self.api.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Create something."""
        response = await self.api.post(path, json=body)
        assert response.status_code == 201, response.text
        return response.json()

    async def share(self, project: dict[str, Any], username: str, role: str) -> None:
        """Give somebody a role, found by name."""
        person = await self.get(f"/users/by-username/{username}")
        assert set(person) == {"id", "username"}
        response = await self.api.put(f"/projects/{project['id']}/members/{person['id']}", json={"role": role})
        assert response.status_code in {200, 201}, response.text
        assert response.json()["role"] == role

    async def projects(self) -> dict[str, str | None]:
        """The projects that this person sees, and their role in each."""
        return {project["name"]: project["role"] for project in (await self.get("/projects/"))["items"]}

    async def to_do(self) -> list[str]:
        """What is open, in all projects, the most urgent first."""
        return [task["title"] for task in (await self.get("/tasks/"))["items"] if not task["completed"]]


class Office:
    """Where people come to sign in."""

    def __init__(self, app: FastAPI, anonymous: Api) -> None:
        self.app = app
        self.anonymous = anonymous

    async def register(self, username: str) -> Person:
        """Somebody new, who signs in at once."""
        response = await self.anonymous.post("/auth/register", json={"username": username, "password": PASSWORD})
        assert response.status_code == 201, response.text
        return await self.sign_in(username)

    async def sign_in(self, username: str, password: str = PASSWORD) -> Person:
        """Somebody known."""
        response = await self.anonymous.post("/auth/login", json={"username": username, "password": password})
        assert response.status_code == 200, response.text
        return Person(self.app, response.json())

    async def turned_away(self, username: str, password: str = PASSWORD) -> None:
        """Somebody who cannot sign in."""
        response = await self.anonymous.post("/auth/login", json={"username": username, "password": password})
        assert_problem(response, 401, "invalid_credentials")


@pytest.fixture
async def office(app: FastAPI, anonymous: Api, database: Database) -> Office:
    """A new service, with the administrator that it starts with."""
    assert await create_seed_admin(database, app.state.services[Authentication].passwords)
    return Office(app, anonymous)


async def test_monday_ana_starts_a_project_and_shares_it_with_ben(office: Office) -> None:
    ana, ben = await office.register("ana"), await office.register("ben")
    workshop = await ana.post("/projects/", {"name": "Workshop"})
    bench = await ana.post(f"/projects/{workshop['id']}/tasks/", {"title": "Build a bench", "priority": 5})
    await ana.post(f"/projects/{workshop['id']}/tasks/", {"title": "Call the fire brigade", "priority": 100})

    # Ben knows the address, but that is not enough, and he does not learn that there is something.
    assert await ben.projects() == {}
    assert_problem(await ben.api.get(f"/projects/{workshop['id']}"), 404, "project_not_found")
    assert_problem(await ben.api.put(f"/tasks/{bench['id']}", json={"no": "task"}), 404, "task_not_found")

    await ana.share(workshop, "Ben", "viewer")
    assert await ben.projects() == {"Workshop": "viewer"}
    assert await ben.to_do() == ["Call the fire brigade", "Build a bench"]
    refused = await ben.api.put(f"/tasks/{bench['id']}", json={"completed": True})
    assert "editor" in assert_problem(refused, 403, "role_required")["detail"]

    await ana.share(workshop, "ben", "editor")
    assert (await ben.api.put(f"/tasks/{bench['id']}", json={"completed": True})).status_code == 200
    assert await ana.to_do() == ["Call the fire brigade"]
    assert (await ana.get(f"/tasks/{bench['id']}"))["priority"] == 5, "which Ben left out"


async def test_tuesday_ana_hands_the_project_over_and_leaves(office: Office) -> None:
    ana, ben = await office.register("ana"), await office.register("ben")
    workshop = await ana.post("/projects/", {"name": "Workshop"})
    await ana.share(workshop, "ben", "editor")
    members = f"/projects/{workshop['id']}/members"

    assert_problem(await ben.api.delete(f"{members}/{await ana.id()}"), 403, "role_required")
    assert_problem(await ana.api.delete(f"{members}/{await ana.id()}"), 409, "last_owner")
    stay = await ana.api.request("DELETE", "/auth/me", json={"password": PASSWORD})
    assert_problem(stay, 409, "only_owner")

    await ana.share(workshop, "ben", "owner")
    assert (await ana.api.delete(f"{members}/{await ana.id()}")).status_code == 204
    assert await ana.projects() == {}
    assert_problem(await ana.api.get(f"{members}/"), 404, "project_not_found")
    assert [member["username"] for member in (await ben.get(f"{members}/"))["items"]] == ["ben"]

    goodbye = await ana.api.request("DELETE", "/auth/me", json={"password": PASSWORD})
    assert goodbye.status_code == 204
    await office.turned_away("ana")
    assert_problem(await ben.api.get("/users/by-username/ana"), 404, "user_not_found")


async def test_wednesday_a_nightly_report_reads_by_key(office: Office) -> None:
    ana = await office.register("ana")
    workshop = await ana.post("/projects/", {"name": "Workshop"})
    plan = await ana.post("/projects/", {"name": "Secret plan"})
    await ana.post(f"/projects/{workshop['id']}/tasks/", {"title": "Build a bench"})
    await ana.post(f"/projects/{plan['id']}/tasks/", {"title": "Buy the building"})
    wanted = {
        "name": "nightly report",
        "scopes": ["tasks:read"],
        "project_id": workshop["id"],
        "expires_at": (datetime.now(UTC) + timedelta(days=365)).isoformat(),
    }
    key = await ana.post("/auth/api-keys", wanted)
    report = office.anonymous.with_key(key["secret"])

    tasks = (await report.get("/tasks/")).json()
    assert [task["title"] for task in tasks["items"]] == ["Build a bench"]
    assert_problem(await report.get(f"/projects/{plan['id']}/tasks/"), 404, "project_not_found")
    written = await report.post(f"/projects/{workshop['id']}/tasks/", json={"title": "Spam"})
    assert_problem(written, 403, "insufficient_scope")
    assert written.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="tasks:write"'
    assert_problem(await report.post("/auth/api-keys", json=wanted), 403, "session_required")

    (listed,) = (await ana.get("/auth/api-keys"))["items"]
    assert listed["prefix"] == key["secret"][: len(listed["prefix"])]
    assert key["secret"] not in str(listed)
    assert (await ana.api.delete(f"/auth/api-keys/{key['id']}")).status_code == 204
    assert_problem(await report.get("/tasks/"), 401, "api_key_revoked")


async def test_thursday_ana_loses_her_laptop_and_ben_forgets_his_password(office: Office) -> None:
    laptop = await office.register("ana")
    phone = await office.sign_in("ana")
    assert (await phone.get("/auth/sessions"))["total"] == 2
    assert (await phone.api.delete("/auth/sessions")).status_code == 204
    assert_problem(await laptop.api.get("/auth/me"), 401, "invalid_token")
    stolen = await office.anonymous.post("/auth/refresh", json={"refresh_token": laptop.refresh_token})
    assert_problem(stolen, 401, "invalid_refresh_token")
    assert (await phone.get("/auth/sessions"))["total"] == 1

    ben, admin = await office.register("ben"), await office.sign_in(SEED_USERNAME, SEED_PASSWORD)
    reset = await admin.api.patch(f"/users/{await ben.id()}", json={"reset_password": True})
    one_time = reset.json()["one_time_password"]
    await office.turned_away("ben")
    assert_problem(await ben.api.get("/auth/me"), 401, "invalid_token")
    ben = await office.sign_in("ben", one_time)
    await office.turned_away("ben", one_time)
    chosen = {"current_password": one_time, "password": "battery staple"}
    assert (await ben.api.patch("/auth/me", json=chosen)).status_code == 200
    await office.sign_in("ben", "battery staple")


async def test_friday_ben_moves_on_and_his_work_stays(office: Office) -> None:
    ana, ben = await office.register("ana"), await office.register("ben")
    admin = await office.sign_in(SEED_USERNAME, SEED_PASSWORD)
    workshop = await ben.post("/projects/", {"name": "Workshop"})
    await ben.post(f"/projects/{workshop['id']}/tasks/", {"title": "Build a bench"})
    key = await ben.post("/auth/api-keys", {"name": "editor plug-in", "scopes": ["tasks:write"]})
    ben_id = await ben.id()

    assert_problem(await ana.api.patch(f"/users/{ben_id}", json={"is_active": False}), 403, "admin_required")
    assert_problem(await admin.api.patch(f"/users/{await admin.id()}", json={"is_active": False}), 409, "last_admin")
    deactivated = await admin.api.patch(f"/users/{ben_id}", json={"is_active": False})
    assert deactivated.json()["is_active"] is False

    assert_problem(await ben.api.get("/projects/"), 401, "invalid_token")
    assert_problem(await office.anonymous.with_key(key["secret"]).get("/tasks/"), 401, "invalid_api_key")
    refreshed = await office.anonymous.post("/auth/refresh", json={"refresh_token": ben.refresh_token})
    assert_problem(refreshed, 401, "invalid_refresh_token")
    await office.turned_away("ben")

    # What he began goes on: an administrator sees every project, and gives it to Ana.
    assert await admin.projects() == {"Workshop": None}
    await admin.share(workshop, "ana", "owner")
    assert await ana.projects() == {"Workshop": "owner"}
    assert await ana.to_do() == ["Build a bench"]
