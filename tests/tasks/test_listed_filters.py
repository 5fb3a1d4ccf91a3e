"""Lists of tasks by label and assignee, in one project and in all, by page and by cursor."""

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.projects.models import Role
from app.tasks.models import MAX_LISTED
from tests.auth.factories import UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.tasks.factories import TaskFactory
from tests.tasks.listed import Listed, Place, each_list


async def titles(api: Api, address: str) -> list[str]:
    """The titles of a list, which a walk by cursor shows in the same order, one by one."""
    page = (await api.get(address)).json()
    shown = [item["title"] for item in page["items"]]
    assert page["total"] == len(shown)
    walked, cursor = [], ""
    for _ in range(len(shown) + 1):
        step = (await api.get(f"{address}&size=1&cursor={cursor}")).json()
        walked += [item["title"] for item in step["items"]]
        cursor = step["next_cursor"] or ""
        if not cursor:
            break
    assert walked == shown
    return shown


@each_list
async def test_filter_by_ids_shows_tasks_with_any_of_them(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed)
    first, second, third = place.ids
    kinds = {"both": [first, second], "first": [first], "second": [second], "none": [], "other": place.others[:1]}
    for title, ids in kinds.items():
        project = place.other if title == "other" else place.project
        await store(database, TaskFactory.build(project_id=project.id, title=title, **{listed.name: ids}))
    name = listed.parameter
    for query, expected in {
        f"{name}={first}": {"both", "first"},
        f"{name}={first}&{name}={second}": {"both", "first", "second"},
        f"{name}={third}": set(),
        f"{name}={uuid7()}": set(),
        f"{listed.name}_is_empty=true": {"none"},
        f"{listed.name}_is_empty=false": {"both", "first", "second", "other"},
        f"{name}={first}&{listed.name}_is_empty=true": set(),
        f"{name}={first}&{name}={place.others[0]}&sort=title": {"both", "first", "other"},
        f"{name}={first}&q=both": {"both"},
    }.items():
        assert set(await titles(api, f"{place.tasks}?{query}")) == expected - {"other"}, query
        assert set(await titles(api, f"/tasks/?{query}")) == expected, query


async def test_assignee_me_is_the_caller_in_whatever_project(api: Api, user: User, database: Database) -> None:
    projects = [await project_of(database, user) for _ in range(3)]
    colleague = UserFactory.build()
    await store(database, colleague)
    for number, project in enumerate(projects):
        await add_member(database, project, colleague, Role.VIEWER)
        for name, ids in (("mine", [user.id]), ("theirs", [colleague.id]), ("ours", [user.id, colleague.id])):
            for completed in (True, False):
                task = TaskFactory.build(
                    project_id=project.id,
                    title=f"{name} {number} {completed}",
                    completed=completed,
                    assignee_ids=ids,
                )
                await store(database, task)
    mine = {f"{name} {number} False" for number in range(3) for name in ("mine", "ours")}
    assert set(await titles(api, "/tasks/?assignee_id=me&completed=false")) == mine
    assert set(await titles(api, f"/tasks/?assignee_id={user.id}&completed=false")) == mine
    asked = f"/projects/{projects[0].id}/tasks/?assignee_id=me&completed=false"
    assert set(await titles(api, asked)) == {"mine 0 False", "ours 0 False"}
    async with await api.as_(colleague) as theirs:
        # The same address, whose parameters were read for somebody else before.
        assert set(await titles(theirs, asked)) == {"theirs 0 False", "ours 0 False"}
        both = await titles(theirs, f"/tasks/?assignee_id=me&assignee_id={user.id}")
        assert len(both) == 18
        assert {title.split()[0] for title in await titles(theirs, "/tasks/?assignee_id=me")} == {"theirs", "ours"}


async def test_assignee_that_is_the_nil_id_is_not_me(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(database, TaskFactory.build(project_id=project.id, assignee_ids=[user.id]))
    page = await api.get("/tasks/?assignee_id=00000000-0000-0000-0000-000000000000")
    assert page.json()["items"] == []


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("label_id=me", "label_id", "uuid_parsing"),
        ("assignee_id=ME", "assignee_id", "person"),
        ("assignee_id=", "assignee_id", "person"),
        ("assignee_ids_is_empty=1", "assignee_ids_is_empty", "bool_parsing"),
        ("label_id=" + "&label_id=".join(str(uuid7()) for _ in range(MAX_LISTED + 1)), "label_id", "too_long"),
        ("&".join(["assignee_id=me"] * (MAX_LISTED + 1)), "assignee_id", "too_long"),
    ],
)
async def test_bad_filter_is_refused_by_name(api: Api, query: str, parameter: str, code: str) -> None:
    problem = assert_problem(await api.get(f"/tasks/?{query}"), 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]


async def test_filter_by_person_hides_projects_of_others(api: Api, user: User, database: Database) -> None:
    stranger = UserFactory.build()
    await store(database, stranger)
    hidden = await project_of(database, stranger)
    await store(database, TaskFactory.build(project_id=hidden.id, assignee_ids=[stranger.id]))
    assert (await api.get(f"/tasks/?assignee_id={stranger.id}")).json()["total"] == 0
    assert (await api.get("/tasks/?assignee_ids_is_empty=false")).json()["total"] == 0
