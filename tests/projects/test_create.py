"""Creating projects."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.support.client import Api


async def test_id_is_a_uuid_of_version_7_made_now(api: Api) -> None:
    project = (await api.post("/projects", json={"name": "Workshop"})).json()
    made = UUID(project["id"])
    assert made.version == 7
    milliseconds = made.int >> 80
    assert abs(datetime.fromtimestamp(milliseconds / 1000, UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert datetime.fromisoformat(project["created_at"]).utcoffset() == timedelta(0)
    assert project["created_at"] == project["updated_at"]


async def test_text_may_be_as_long_as_promised_in_any_script(api: Api) -> None:
    body = {"name": "\U0001f6e0" * 200, "description": "ж" * 10_000}
    created = await api.post("/projects", json=body)
    assert created.status_code == 201
    assert {name: created.json()[name] for name in body} == body


async def test_fifty_created_at_once_are_fifty_projects(api: Api) -> None:
    answers = await asyncio.gather(*(api.post("/projects", json={"name": f"Project {number}"}) for number in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    ids = {answer.json()["id"] for answer in answers}
    page = (await api.get("/projects/?size=100")).json()
    assert page["total"] == len(ids) == 50
    assert {item["id"] for item in page["items"]} == ids
