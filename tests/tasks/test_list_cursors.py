"""Lists by cursor: complete, in order, for one question only, and true while others write."""

import asyncio
import random
import re
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.core.listing.pagination import MAX_LINK_LENGTH
from app.projects.models import Project, Role
from tests.auth.factories import UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory

LINK = re.compile(r'<([^>]*)>; rel="(\w+)"')

SORTS = [
    None,
    "priority",
    "due_date",
    "-due_date",
    "-priority,due_date",
    "due_date,-priority",
    "-due_date,title",
    "completed,-updated_at",
    "-created_at",
    "title",
    "updated_at",
]


def links_of(answer: Any) -> dict[str, str]:
    return {relation: target for target, relation in LINK.findall(answer.headers["link"])}


async def walk(api: Api, path: str, size: int, query: str = "") -> list[str]:
    """The ids of a list, page by page, by cursor."""
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"{path}?cursor={cursor}&size={size}{query}")).json()
        assert len(page["items"]) <= size
        assert (page["total"], page["page"], page["pages"], page["size"]) == (None, None, None, size)
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == size
        cursor = page["next_cursor"]


async def full_project(database: Database, user: User, tasks: int = 43) -> Project:
    project = await project_of(database, user)
    chance = random.Random(20261124)
    days = [None, None, *(date(2026, 12, day) for day in range(1, 5))]
    rows = [
        TaskFactory.build(
            project_id=project.id,
            title=chance.choice(("Saw", "Plane", "Sand")),
            priority=chance.randint(-1, 1),
            completed=chance.random() < 0.5,
            due_date=chance.choice(days),
        )
        for _ in range(tasks)
    ]
    await store(database, *rows)
    return project


@pytest.mark.parametrize("sort", SORTS)
async def test_cursors_give_the_order_of_numbered_pages(
    api: Api, user: User, database: Database, sort: str | None
) -> None:
    project = await full_project(database, user)
    query = "" if sort is None else f"&sort={sort}"
    for path in (f"/projects/{project.id}/tasks/", "/tasks/"):
        expected = [item["id"] for item in (await api.get(f"{path}?page=1&size=100{query}")).json()["items"]]
        assert len(set(expected)) == 43
        by_number = [
            item["id"]
            for page in range(1, 4)
            for item in (await api.get(f"{path}?page={page}&size=15{query}")).json()["items"]
        ]
        assert by_number == expected
        for size in (15, 43):
            assert await walk(api, path, size, query) == expected


@pytest.mark.parametrize("sort", [None, "-due_date,priority"])
async def test_links_lead_through_the_list_and_back(api: Api, user: User, database: Database, sort: str | None) -> None:
    project = await full_project(database, user)
    query = "" if sort is None else f"&sort={sort}"
    expected = [
        item["id"] for item in (await api.get(f"/projects/{project.id}/tasks/?size=100{query}")).json()["items"]
    ]
    for start in (f"?cursor=&size=10{query}", f"?page=1&size=10{query}"):
        answers = [await api.get(f"/projects/{project.id}/tasks/{start}")]
        while "next" in (links := links_of(answers[-1])):
            answers.append(await api.get(links["next"]))
        assert [item["id"] for answer in answers for item in answer.json()["items"]] == expected
        back = [answers[-1]]
        while "prev" in (links := links_of(back[-1])):
            back.append(await api.get(links["prev"]))
        assert [answer.json()["items"] for answer in back] == [answer.json()["items"] for answer in answers[::-1]]
        assert "next" in links_of(back[-1])
        first = await api.get(links_of(answers[2])["first"])
        assert first.json() == answers[0].json()


async def test_a_page_by_number_goes_on_by_cursor(api: Api, user: User, database: Database) -> None:
    project = await full_project(database, user)
    path = f"/projects/{project.id}/tasks/"
    first = (await api.get(f"{path}?size=10")).json()
    by_number = (await api.get(f"{path}?page=2&size=10")).json()
    by_cursor = (await api.get(f"{path}?cursor={first['next_cursor']}&size=10&include_total=true")).json()
    assert by_cursor["items"] == by_number["items"]
    assert (by_cursor["total"], by_number["total"]) == (43, 43)
    assert by_cursor["next_cursor"] == by_number["next_cursor"]


async def test_the_link_beyond_the_last_page_number_is_a_cursor(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    fill = (
        "INSERT INTO tasks (id, project_id, title) SELECT gen_random_uuid(), $1, 'Saw' FROM generate_series(1, 10002)"
    )
    connection = await database.pool.acquire()
    await connection.execute(fill, project.id)
    database.pool.release(connection)
    path = f"/projects/{project.id}/tasks/"
    last = await api.get(f"{path}?page=100&size=100")
    assert (last.json()["total"], last.json()["pages"], len(last.json()["items"])) == (10_002, 101, 100)
    rest = await api.get(links_of(last)["next"])
    assert len(rest.json()["items"]) == 2
    assert rest.json()["next_cursor"] is None


async def test_a_page_is_one_statement_in_either_form(api: Api, user: User, database: Database) -> None:
    project = await full_project(database, user)
    path = f"/projects/{project.id}/tasks/"
    cursor = (await api.get(f"{path}?cursor=&size=5")).json()["next_cursor"]
    for query in ("?page=2&size=5", "?cursor=&size=5", f"?cursor={cursor}&size=5", f"?cursor={cursor}&size=40"):
        with query_budget(database, 1):
            assert (await api.get(path + query)).status_code == 200


async def test_a_cursor_belongs_to_its_caller_list_and_filters(
    api: Api, anonymous: Api, user: User, database: Database
) -> None:
    project, other = await full_project(database, user), await full_project(database, user, 3)
    ben = UserFactory.build()
    await store(database, ben)
    await add_member(database, project, ben, Role.EDITOR)
    path = f"/projects/{project.id}/tasks/"
    cursor = (await api.get(f"{path}?cursor=&size=5")).json()["next_cursor"]
    assert (await api.get(f"{path}?cursor={cursor}&size=7")).status_code == 200, "the size may change"
    elsewhere = [
        f"/projects/{other.id}/tasks/?cursor={cursor}",
        f"/tasks/?cursor={cursor}",
        f"/projects/?cursor={cursor}",
        f"{path}?cursor={cursor}&sort=priority",
        f"{path}?cursor={cursor}&completed=true",
        f"{path}?cursor={cursor[:-1]}",
        f"{path}?cursor=x{cursor}",
        f"{path}?cursor=%00",
        f"{path}?cursor=%F0%9F%94%A7",
    ]
    for address in elsewhere:
        problem = assert_problem(await api.get(address), 400, "cursor_mismatch")
        assert [error["parameter"] for error in problem["errors"]] == ["cursor"]
    async with await anonymous.as_(ben) as others:
        assert_problem(await others.get(f"{path}?cursor={cursor}"), 400, "cursor_mismatch")


@pytest.mark.parametrize("path", ["/projects/", "/auth/sessions", "/auth/api-keys", "/projects/{}/members/"])
async def test_every_list_is_walked_by_cursor(api: Api, user: User, database: Database, path: str) -> None:
    projects = [await project_of(database, user) for _ in range(3)]
    for _ in range(3):
        person = UserFactory.build()
        await store(database, person)
        await add_member(database, projects[0], person, Role.VIEWER)
        await api.post("/auth/api-keys", json={"name": "report", "scopes": ["tasks:read"]})
    address = path.format(projects[0].id)
    everything = (await api.get(address)).json()
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get(f"{address}?cursor={cursor}&size=2")).json()
        found += page["items"]
        cursor = page["next_cursor"]
    assert found == everything["items"]
    assert len(found) == everything["total"]


async def test_unchanged_tasks_appear_once_during_writes(api: Api, user: User, database: Database) -> None:
    project = await full_project(database, user, 60)
    path = f"/projects/{project.id}/tasks/"
    items = (await api.get(f"{path}?size=100")).json()["items"]
    chance = random.Random(7)
    still = {item["id"] for item in items[::2]}
    moving = [item["id"] for item in items[1::2]]
    is_over = asyncio.Event()

    async def disturb() -> None:
        while not is_over.is_set():
            what = chance.random()
            if what < 0.4 and len(moving) < 60:
                body = {"title": "New", "priority": chance.randint(-2, 2)}
                moving.append((await api.post(path, json=body)).json()["id"])
            elif what < 0.8 and moving:
                change: dict[str, Any] = {
                    "priority": chance.randint(-2, 2),
                    "due_date": chance.choice((None, "2026-12-03")),
                }
                await api.patch(f"/tasks/{chance.choice(moving)}", json=change)
            elif moving:
                await api.delete(f"/tasks/{moving.pop(chance.randrange(len(moving)))}")

    disturbers = [asyncio.create_task(disturb()) for _ in range(3)]
    try:
        for sort in (None, "due_date", "-due_date", "-priority,due_date", "title", "completed,-created_at"):
            for size in (1, 4) if sort == "due_date" else (4,):
                found = await walk(api, path, size, "" if sort is None else f"&sort={sort}")
                assert sorted(task for task in found if task in still) == sorted(still), (sort, size)
    finally:
        is_over.set()
        await asyncio.gather(*disturbers)


EXTREMES = ["\U0001f527", '"', "\\", "\x01", "ﬃ", "é", "a", "Å", "\u2028", "'"]


@pytest.mark.parametrize("sort", ["title", "-title,due_date", "priority,title,-due_date", "-due_date,-title"])
@pytest.mark.parametrize("filters", ["", "&q=" + quote("\U0001f527" * 190 + " -x"), "&project_id={}" * 100])
async def test_every_returned_cursor_and_link_is_accepted(
    api: Api, user: User, database: Database, sort: str, filters: str
) -> None:
    project = await project_of(database, user)
    rows = [
        TaskFactory.build(project_id=project.id, title=character * 500, description=None, due_date=date.max, priority=1)
        for character in EXTREMES
    ]
    await store(database, *rows)
    path = "/tasks/?size=3&sort=" + sort + filters.format(project.id, *(uuid7() for _ in range(99)))
    forth = [await api.get(f"{path}&cursor=")]
    while (cursor := forth[-1].json()["next_cursor"]) is not None:
        forth.append(await api.get(f"{path}&cursor={cursor}"))
        assert forth[-1].status_code == 200, forth[-1].text
    assert sorted(item["title"] for answer in forth for item in answer.json()["items"]) == sorted(
        character * 500 for character in EXTREMES
    )
    expected = [answer.json()["items"] for answer in forth]
    for place, answer in enumerate(forth):
        header = answer.headers.get("link", "")
        assert len(header) <= MAX_LINK_LENGTH
        beside = {"next": place + 1, "prev": place - 1, "first": 0}
        for relation, target in links_of(answer).items() if header else ():
            there = await api.get(target)
            assert there.status_code == 200, there.text
            assert there.json()["items"] == expected[beside[relation]]
