"""Whose comments are whose: what authors may do, what owners may, and what becomes of an account's."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.auth.models import User
from app.comments.models import Comment
from app.core.database.database import Database
from app.projects.models import Project, Role
from tests.auth.factories import UserFactory
from tests.auth.people import PASSWORD, person
from tests.comments.factories import CommentFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.tasks.factories import TaskFactory


@pytest.fixture
async def project(user: User, database: Database) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def author(app: FastAPI, database: Database, project: Project) -> User:
    """An editor of the project."""
    author = await person(app, "author")
    await add_member(database, project, author, Role.EDITOR)
    return author


@pytest.fixture
async def comment(database: Database, project: Project, author: User) -> Comment:
    """The editor's comment."""
    task = TaskFactory.build(project_id=project.id)
    comment = CommentFactory.build(task_id=task.id, author_id=author.id)
    await store(database, task, comment)
    return comment


@pytest.fixture
async def theirs(api: Api, author: User) -> AsyncIterator[Api]:
    async with await api.as_(author) as theirs:
        yield theirs


async def test_an_owner_deletes_what_only_its_author_changes(api: Api, theirs: Api, comment: Comment) -> None:
    address = f"/comments/{comment.id}"
    for method in ("put", "patch"):
        answer = await getattr(api, method)(address, json={"body": "Corrected"})
        assert_problem(answer, 403, "author_required")
    assert (await api.get(address)).json()["body"] == comment.body
    assert (await theirs.patch(address, json={"body": "Mine"})).json()["body"] == "Mine"
    assert (await api.delete(address)).status_code == 204


async def test_an_administrator_deletes_what_only_its_author_changes(
    api: Api, comment: Comment, database: Database
) -> None:
    admin = UserFactory.build(is_superuser=True)
    await store(database, admin)
    own = CommentFactory.build(task_id=comment.task_id, author_id=admin.id)
    await store(database, own)
    async with await api.as_(admin) as theirs:
        assert_problem(await theirs.patch(f"/comments/{comment.id}", json={"body": "No"}), 403, "author_required")
        assert (await theirs.patch(f"/comments/{own.id}", json={"body": "Mine"})).status_code == 200
        assert (await theirs.delete(f"/comments/{comment.id}")).status_code == 204


async def test_an_author_who_is_no_editor_any_more_deletes_only(
    api: Api, theirs: Api, author: User, comment: Comment, project: Project
) -> None:
    address, member = f"/comments/{comment.id}", f"/projects/{project.id}/members/{author.id}"
    assert (await api.put(member, json={"role": "viewer"})).status_code == 200
    problem = assert_problem(await theirs.patch(address, json={"body": "Late"}), 403, "role_required")
    assert "role editor" in problem["detail"]
    assert (await theirs.delete(address)).status_code == 204


async def test_an_author_who_left_sees_nothing(
    api: Api, theirs: Api, author: User, comment: Comment, project: Project
) -> None:
    assert (await api.delete(f"/projects/{project.id}/members/{author.id}")).status_code == 204
    for answer in (await theirs.get(f"/comments/{comment.id}"), await theirs.delete(f"/comments/{comment.id}")):
        assert_problem(answer, 404, "comment_not_found")
    assert (await api.get(f"/comments/{comment.id}")).json()["author_id"] == str(author.id)


async def test_a_comment_outlives_the_account_of_its_author(
    api: Api, theirs: Api, comment: Comment, database: Database
) -> None:
    address = f"/comments/{comment.id}"
    before = (await api.get(address)).json()
    assert (await theirs.request("DELETE", "/auth/me", json={"password": PASSWORD})).status_code == 204
    after = (await api.get(address)).json()
    assert (after["author_id"], after["body"]) == (None, before["body"])
    assert after["etag"] != before["etag"]
    assert_problem(await api.patch(address, json={"body": "Mine now"}), 403, "author_required")
