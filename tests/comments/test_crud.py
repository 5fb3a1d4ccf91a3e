"""A comment's life, and what each operation costs."""

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Role
from tests.auth.factories import UserFactory
from tests.comments.factories import CommentFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory

MEMBERS = ["id", "task_id", "author_id", "body", "created_at", "updated_at", "etag"]


async def test_a_comment_lives_from_post_to_delete(api: Api, user: User, database: Database) -> None:
    task = TaskFactory.build(project_id=(await project_of(database, user)).id)
    await store(database, task)
    created = await api.post(f"/tasks/{task.id}/comments/", json={"body": "Measured twice."})
    assert created.status_code == 201
    comment = created.json()
    assert list(comment) == MEMBERS
    assert (comment["body"], comment["author_id"], comment["task_id"]) == (
        "Measured twice.",
        str(user.id),
        str(task.id),
    )
    address = created.headers["location"]
    assert (await api.get(address)).json() == comment
    assert (await api.get(f"/tasks/{task.id}/comments/")).json()["items"] == [comment]
    changed = await api.put(address, json={"body": "And cut\nonce."}, headers={"If-Match": comment["etag"]})
    assert changed.json()["body"] == "And cut\nonce."
    assert (await api.get(address)).json() == changed.json()
    assert_problem(
        await api.patch(address, json={"body": "Late"}, headers={"If-Match": comment["etag"]}),
        412,
        "precondition_failed",
    )
    assert (await api.delete(address)).status_code == 204
    assert_problem(await api.get(address), 404, "comment_not_found")


@pytest.mark.parametrize("paging", ["page=1&size=2", "cursor=&size=2"])
async def test_a_list_begins_with_the_oldest(api: Api, user: User, database: Database, paging: str) -> None:
    project = await project_of(database, user)
    task, other = TaskFactory.batch(2, project_id=project.id)
    comments = CommentFactory.batch(3, task_id=task.id, author_id=user.id)
    await store(database, task, other, *comments, CommentFactory.build(task_id=other.id))
    first = await api.get(f"/tasks/{task.id}/comments/?{paging}")
    assert [item["id"] for item in first.json()["items"]] == [str(comment.id) for comment in comments[:2]]
    assert first.json()["total"] == (3 if "page" in paging else None)
    second = await api.get(first.links["next"]["url"])
    assert [item["id"] for item in second.json()["items"]] == [str(comments[2].id)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing"),
        ({"body": ""}, "string_too_short"),
        ({"body": " \n\u200b"}, "blank"),
        ({"body": None}, "string_type"),
        ({"body": "x" * 10_001}, "string_too_long"),
    ],
)
async def test_a_body_has_something_to_say(
    api: Api, user: User, database: Database, body: dict[str, object], code: str
) -> None:
    task = TaskFactory.build(project_id=(await project_of(database, user)).id)
    await store(database, task)
    problem = assert_problem(await api.post(f"/tasks/{task.id}/comments/", json=body), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/body", code)]


async def test_comments_go_where_their_task_goes(api: Api, user: User, database: Database) -> None:
    here, there = await project_of(database, user), await project_of(database, user)
    colleague = UserFactory.build()
    await store(database, colleague)
    await add_member(database, there, colleague, Role.VIEWER)
    task = TaskFactory.build(project_id=here.id)
    comment = CommentFactory.build(task_id=task.id, author_id=user.id)
    await store(database, task, comment)
    async with await api.as_(colleague) as theirs:
        assert_problem(await theirs.get(f"/comments/{comment.id}"), 404, "comment_not_found")
        assert (await api.put(f"/tasks/{task.id}", json={"project_id": str(there.id)})).status_code == 200
        assert (await theirs.get(f"/comments/{comment.id}")).json()["body"] == comment.body
    assert (await api.delete(f"/tasks/{task.id}")).status_code == 204
    assert_problem(await api.get(f"/comments/{comment.id}"), 404, "comment_not_found")


async def test_changes_name_a_tag_where_the_project_asks_for_it(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user, require_if_match=True)
    task = TaskFactory.build(project_id=project.id)
    comment = CommentFactory.build(task_id=task.id, author_id=user.id)
    await store(database, task, comment)
    address = f"/comments/{comment.id}"
    assert_problem(await api.patch(address, json={"body": "Blind"}), 428, "precondition_required")
    assert_problem(await api.delete(address), 428, "precondition_required")
    headers = {"If-Match": (await api.get(address)).headers["etag"]}
    assert (await api.patch(address, json={"body": "Seen"}, headers=headers)).status_code == 200


async def test_each_operation_is_one_statement(api: Api, user: User, database: Database) -> None:
    task = TaskFactory.build(project_id=(await project_of(database, user)).id)
    await store(database, task)
    created = await api.post(f"/tasks/{task.id}/comments/", json={"body": "Measured twice."})
    address = created.headers["location"]
    with query_budget(database, 5):
        await api.post(f"/tasks/{task.id}/comments/", json={"body": "And cut once."})
        await api.get(f"/tasks/{task.id}/comments/")
        await api.get(address)
        await api.patch(address, json={"body": "Sanded."})
        await api.delete(address)
