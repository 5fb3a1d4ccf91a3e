"""With whom projects are shared, and in which role."""

import asyncio

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.ids import uuid7
from app.main import create_app
from app.projects.models import Member, Project, Role
from app.projects.queries import projects_without_active_owner
from tests.auth.factories import UserFactory
from tests.auth.people import PASSWORD, person
from tests.projects.factories import MemberFactory, add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory


@pytest.fixture
async def project(database: Database, user: User) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def ben(database: Database) -> User:
    ben = UserFactory.build(username="ben", email="ben@example.org")
    await store(database, ben)
    return ben


def path_of(project: Project, user: User | None = None) -> str:
    return f"/projects/{project.id}/members/{'' if user is None else user.id}"


async def test_put_adds_a_member_and_then_changes_the_role(api: Api, project: Project, ben: User) -> None:
    answer = await api.put(path_of(project, ben), json={"role": "viewer"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/projects/{project.id}/members/{ben.id}"
    added = answer.json()
    assert added == {
        "user_id": str(ben.id),
        "username": "ben",
        "role": "viewer",
        "created_at": added["created_at"],
        "updated_at": added["created_at"],
    }
    answer = await api.put(path_of(project, ben), json={"role": "owner"})
    assert (answer.status_code, "location" in answer.headers) == (200, False)
    changed = answer.json()
    assert changed["role"] == "owner"
    assert changed["created_at"] == added["created_at"] < changed["updated_at"]
    answer = await api.put(path_of(project, ben), json={"role": "owner"})
    assert (answer.status_code, answer.json()) == (200, changed)
    assert (await api.get(path_of(project, ben))).json() == changed


async def test_a_role_holds_from_the_next_request_on(anonymous: Api, api: Api, project: Project, ben: User) -> None:
    async with await anonymous.as_(ben) as caller:
        name = {"name": "Renamed"}
        for role, status in ((None, 404), ("viewer", 403), ("editor", 200), ("viewer", 403), (None, 404)):
            if role is not None:
                assert (await api.put(path_of(project, ben), json={"role": role})).is_success
            elif status == 404:
                await api.delete(path_of(project, ben))
            assert (await caller.patch(f"/projects/{project.id}", json=name)).status_code == status


@pytest.mark.parametrize("body", [{}, {"role": "boss"}, {"role": None}, {"role": "viewer", "user_id": str(uuid7())}])
async def test_another_role_than_the_three_is_a_400(
    api: Api, project: Project, ben: User, body: dict[str, str]
) -> None:
    assert_problem(await api.put(path_of(project, ben), json=body), 400, "invalid_request")
    assert_problem(await api.get(path_of(project, ben)), 404, "member_not_found")


async def test_members_are_listed_in_the_order_in_which_they_joined(
    api: Api, user: User, project: Project, database: Database
) -> None:
    others = UserFactory.batch(51)
    await store(database, *others)
    await store(
        database, *(MemberFactory.build(project_id=project.id, user_id=one.id, role="viewer") for one in others)
    )
    assert (await api.get("/auth/me")).status_code == 200
    with query_budget(database, 1):
        first = (await api.get(path_of(project))).json()
    with query_budget(database, 1):
        second = (await api.get(path_of(project), params={"page": 2})).json()
    assert (first["total"], first["pages"], len(first["items"]), len(second["items"])) == (52, 2, 50, 2)
    listed = [item["user_id"] for item in first["items"] + second["items"]]
    assert listed == [str(one.id) for one in (user, *others)]
    assert set(first["items"][0]) == {"user_id", "username", "role", "created_at", "updated_at"}
    with query_budget(database, 1):
        assert (await api.get(path_of(project, user))).json() == first["items"][0]


async def test_each_project_read_carries_the_callers_own_role(
    anonymous: Api, api: Api, project: Project, ben: User, database: Database
) -> None:
    root = UserFactory.build(is_superuser=True)
    await store(database, root)
    async with await anonymous.as_(ben) as other, await anonymous.as_(root) as admin:
        for role in Role:
            await api.put(path_of(project, ben), json={"role": role})
            assert (await other.get(f"/projects/{project.id}")).json()["role"] == role
            assert (await other.get("/projects/")).json()["items"][0]["role"] == role
        assert (await other.patch(f"/projects/{project.id}", json={"name": "x"})).json()["role"] == "owner"
        assert (await api.get(f"/projects/{project.id}")).json()["role"] == "owner"
        assert (await admin.get(f"/projects/{project.id}")).json()["role"] is None
        assert (await admin.get("/projects/")).json()["items"][0]["role"] is None
    assert (await api.post("/projects/", json={"name": "Mine"})).json()["role"] == "owner"


async def test_everybody_may_leave_and_only_owners_remove_others(
    anonymous: Api, api: Api, user: User, project: Project, ben: User, database: Database
) -> None:
    eve = UserFactory.build()
    await store(database, eve)
    await add_member(database, project, eve, Role.EDITOR)
    for role in (Role.VIEWER, Role.EDITOR):
        assert (await api.put(path_of(project, ben), json={"role": role})).status_code == 201
        async with await anonymous.as_(ben) as other:
            for target in (eve, user):
                problem = assert_problem(await other.delete(path_of(project, target)), 403, "role_required")
                assert "owner" in problem["detail"]
            # Who is no member is not told apart from who may not be removed.
            assert_problem(await other.delete(f"{path_of(project)}{uuid7()}"), 403, "role_required")
            assert (await other.delete(path_of(project, ben))).status_code == 204
            assert_problem(await other.get(f"/projects/{project.id}"), 404, "project_not_found")
            assert_problem(await other.delete(path_of(project, ben)), 404, "project_not_found")
    assert (await api.delete(path_of(project, eve))).status_code == 204
    for user_id in (eve.id, uuid7()):
        assert_problem(await api.delete(f"{path_of(project)}{user_id}"), 404, "member_not_found")


async def test_an_administrator_may_do_all_that_without_being_a_member(
    anonymous: Api, user: User, project: Project, ben: User, database: Database
) -> None:
    root = UserFactory.build(is_superuser=True)
    await store(database, root)
    async with await anonymous.as_(root) as admin:
        assert (await admin.put(path_of(project, ben), json={"role": "owner"})).status_code == 201
        assert (await admin.delete(path_of(project, user))).status_code == 204
        assert_problem(await admin.delete(path_of(project, ben)), 409, "last_owner")
        assert_problem(await admin.delete(path_of(project, root)), 404, "member_not_found")
        assert_problem(
            await admin.put(f"/projects/{uuid7()}/members/{ben.id}", json={"role": "owner"}), 404, "project_not_found"
        )


async def test_the_last_owner_can_neither_leave_nor_be_demoted(
    api: Api, user: User, project: Project, ben: User
) -> None:
    await api.put(path_of(project, ben), json={"role": "editor"})
    assert_problem(await api.delete(path_of(project, user)), 409, "last_owner")
    for role in ("viewer", "editor"):
        assert_problem(await api.put(path_of(project, user), json={"role": role}), 409, "last_owner")
    assert (await api.put(path_of(project, user), json={"role": "owner"})).status_code == 200
    assert (await api.put(path_of(project, ben), json={"role": "owner"})).status_code == 200
    assert (await api.put(path_of(project, user), json={"role": "viewer"})).status_code == 200
    assert_problem(await api.put(path_of(project, user), json={"role": "owner"}), 403, "role_required")


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("DELETE", "{members}{own}", None, "last_owner"),
        ("PUT", "{members}{own}", {"role": "editor"}, "last_owner"),
        ("DELETE", "/auth/me", {"password": PASSWORD}, "only_owner"),
    ],
    ids=["leave", "demote", "delete the account"],
)
async def test_inactive_owner_does_not_count_as_owner(
    app: FastAPI,
    anonymous: Api,
    ben: User,
    database: Database,
    method: str,
    path: str,
    body: dict[str, str] | None,
    code: str,
) -> None:
    ada = await person(app, "ada")
    project = await project_of(database, ada)
    gone = UserFactory.build(is_active=False)
    await store(database, gone)
    await add_member(database, project, gone, Role.OWNER)
    await add_member(database, project, ben, Role.EDITOR)
    members = path_of(project)
    async with await anonymous.as_(ada) as api:
        path = path.format(members=members, own=ada.id)
        assert_problem(await api.request(method, path, json=body), 409, code)
        # As soon as another one may sign in, it may be done; and who may not can be taken out.
        assert (await api.put(f"{members}{ben.id}", json={"role": "owner"})).status_code == 200
        assert (await api.delete(f"{members}{gone.id}")).status_code == 204
        assert (await api.request(method, path, json=body)).is_success


async def test_the_only_owner_stays_one_while_deactivated(
    anonymous: Api, user: User, project: Project, ben: User, database: Database
) -> None:
    root = UserFactory.build(is_superuser=True)
    await store(database, root)
    await add_member(database, project, ben, Role.EDITOR)
    async with await anonymous.as_(root) as admin:
        # An account may have to be closed at once: no project stands in the way of that.
        assert (await admin.patch(f"/users/{user.id}", json={"is_active": False})).status_code == 200
        for role in ("viewer", "editor"):
            assert_problem(await admin.put(path_of(project, user), json={"role": role}), 409, "last_owner")
        assert_problem(await admin.delete(path_of(project, user)), 409, "last_owner")
        assert await database.fetch_all(projects_without_active_owner()) == [{"id": project.id}]
        assert (await admin.put(path_of(project, ben), json={"role": "owner"})).status_code == 200
        assert (await admin.delete(path_of(project, user))).status_code == 204
        assert await database.fetch_all(projects_without_active_owner()) == []


@pytest.mark.parametrize("way", ["leaving", "demoting oneself", "demoting each other", "one of each"])
async def test_two_owners_cannot_leave_at_the_same_moment(
    anonymous: Api, database: Database, user: User, ben: User, way: str
) -> None:
    async with await anonymous.as_(user) as one, await anonymous.as_(ben) as other:
        for _ in range(12):
            project = await project_of(database, user)
            await add_member(database, project, ben, Role.OWNER)
            mine, theirs = path_of(project, user), path_of(project, ben)
            moves = {
                "leaving": ((one, "DELETE", mine), (other, "DELETE", theirs)),
                "demoting oneself": ((one, "PUT", mine), (other, "PUT", theirs)),
                "demoting each other": ((one, "PUT", theirs), (other, "PUT", mine)),
                "one of each": ((one, "DELETE", mine), (other, "PUT", theirs)),
            }[way]
            answers = await asyncio.gather(
                *(
                    caller.request(method, path, **({"json": {"role": "viewer"}} if method == "PUT" else {}))
                    for caller, method, path in moves
                )
            )
            # Whoever came second is either the last owner or, having been demoted, no owner any more.
            refused = [answer.json()["code"] for answer in answers if not answer.is_success]
            assert refused in (["last_owner"], ["role_required"])
            owners = select(func.count().label("owners")).where(Member.project_id == project.id, Member.role == "owner")
            assert await database.fetch_one_or_none(owners) == {"owners": 1}


async def test_unknown_or_inactive_user_cannot_be_added(api: Api, project: Project, database: Database) -> None:
    gone = UserFactory.build(is_active=False)
    await store(database, gone)
    bodies = []
    for user_id in (gone.id, uuid7()):
        answer = await api.put(f"{path_of(project)}{user_id}", json={"role": "viewer"})
        bodies.append(assert_problem(answer, 404, "user_not_found") | {"instance": "", "request_id": ""})
    assert bodies[0] == bodies[1]


async def test_one_person_added_twice_at_once_is_one_member(api: Api, project: Project, ben: User) -> None:
    answers = await asyncio.gather(*(api.put(path_of(project, ben), json={"role": "editor"}) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert (await api.get(path_of(project))).json()["total"] == 2


async def test_membership_ends_with_the_account(api: Api, project: Project, ben: User, database: Database) -> None:
    await add_member(database, project, ben, Role.VIEWER)
    await database.execute(delete(User).where(User.id == ben.id))
    assert_problem(await api.get(path_of(project, ben)), 404, "member_not_found")


async def test_lists_have_only_what_the_caller_may_see(
    anonymous: Api, api: Api, user: User, ben: User, database: Database
) -> None:
    mine, theirs, shared = (
        await project_of(database, user),
        await project_of(database, ben),
        await project_of(database, ben),
    )
    await add_member(database, shared, user, Role.VIEWER)
    for project, priority in ((mine, 1), (theirs, 9), (shared, 5)):
        await store(database, TaskFactory.build(project_id=project.id, priority=priority))
    assert (await api.get("/auth/me")).status_code == 200
    with query_budget(database, 1):
        projects = (await api.get("/projects/")).json()
    with query_budget(database, 1):
        tasks = (await api.get("/tasks/")).json()
    assert [item["id"] for item in projects["items"]] == [str(shared.id), str(mine.id)]
    assert [item["project_id"] for item in tasks["items"]] == [str(shared.id), str(mine.id)]
    assert (projects["total"], tasks["total"]) == (2, 2)
    root, nobody = UserFactory.build(is_superuser=True), UserFactory.build()
    await store(database, root, nobody)
    async with await anonymous.as_(root) as admin, await anonymous.as_(nobody) as stranger:
        assert [item["priority"] for item in (await admin.get("/tasks/")).json()["items"]] == [9, 5, 1]
        assert (await admin.get("/projects/")).json()["total"] == 3
        for path in ("/tasks/", "/projects/"):
            answer = await stranger.get(path)
            assert answer.json() == {"items": [], "total": 0, "page": 1, "size": 50, "pages": 0, "next_cursor": None}


async def test_many_refused_strangers_do_not_exhaust_the_pool(
    settings: Settings, database: Database, project: Project, ben: User
) -> None:
    app: FastAPI = create_app(settings.model_copy(update={"database_pool_size": 2, "database_pool_timeout": 2.0}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(ben) as stranger:
        answers = await asyncio.gather(
            *(stranger.put(path_of(project, ben), json={"role": "owner"}) for _ in range(10)),
            *(stranger.delete(path_of(project, ben)) for _ in range(10)),
        )
    assert {answer.status_code for answer in answers} == {404}
