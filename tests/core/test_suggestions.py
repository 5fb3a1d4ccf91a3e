"""Suggestions: who names a parameter or a member that does not exist is told which one was meant."""

from time import process_time

import pytest
from pydantic import BaseModel

from app.core.errors import MAX_NAME, MAX_REPORTED_ERRORS
from app.core.suggestions import unknown
from app.tasks.schemas import TaskCreate, VisibleTaskParams
from tests.support.client import Api, assert_problem

MEANT = [
    *((VisibleTaskParams, name, "size") for name in ("limit", "per_page", "perPage", "page-size", "sise")),
    *((VisibleTaskParams, name, "sort") for name in ("order_by", "orderBy", "ordering", "sort_by", "sorting")),
    *((VisibleTaskParams, name, "q") for name in ("search", "query")),
    *((VisibleTaskParams, name, "completed") for name in ("status", "done", "is_completed", "complete")),
    (VisibleTaskParams, "offset", "page"),
    (VisibleTaskParams, "next_cursor", "cursor"),
    (VisibleTaskParams, "priority[gte]", "priority_gte"),
    (VisibleTaskParams, "due_date__lte", "due_date_lte"),
    (VisibleTaskParams, "prio", "priority"),
    (VisibleTaskParams, "projectId", "project_id"),
    *((TaskCreate, name, "title") for name in ("name", "titel", "Title")),
    *((TaskCreate, name, "due_date") for name in ("dueDate", "deadline", "due")),
    (TaskCreate, "desc", "description"),
]
SUGGESTED = "is not a member that can be set; did you mean {}?"
NOT_GUESSED = ("created_at", "id", "etag", "x", "colour", "\ud800", "x" * MAX_NAME)
"""What stands for nothing that can be set: members of an answer, or anything."""


@pytest.mark.parametrize(("model", "name", "meant"), MEANT)
def test_a_guess_is_answered_with_the_name_that_was_meant(model: type[BaseModel], name: str, meant: str) -> None:
    assert unknown("a parameter here", name, [model]) == f"is not a parameter here; did you mean {meant}?"


@pytest.mark.parametrize("name", NOT_GUESSED)
def test_a_name_that_resembles_none_is_answered_with_all(name: str) -> None:
    told = unknown("a member that can be set", name, [TaskCreate])
    known = "assignee_ids, completed, description, due_date, external_id, label_ids, parent_id, priority, title"
    assert told == f"is not a member that can be set (known: {known})"


@pytest.mark.parametrize(
    ("path", "meant"),
    [("/tasks/?limit=5", "size"), ("/projects/?search=saw", "q"), ("/auth/sessions?per_page=2", "size")],
)
async def test_a_parameter_is_suggested_in_the_answer(api: Api, path: str, meant: str) -> None:
    problem = assert_problem(await api.get(path), 400, "invalid_request")
    [error] = problem["errors"]
    assert error["detail"] == f"is not a parameter here; did you mean {meant}?"
    assert problem["detail"] == f"{error['parameter']} {error['detail']}"


async def test_a_member_is_suggested_wherever_it_stands(api: Api) -> None:
    problem = assert_problem(await api.post("/projects/", json={"title": "Workshop"}), 400, "invalid_request")
    assert {"pointer": "/title", "detail": SUGGESTED.format("name"), "code": "unknown"} in problem["errors"]

    project = (await api.post("/projects/", json={"name": "Workshop"})).json()["id"]
    batch = {"operations": [{"op": "create", "task": {"title": "x", "deadline": "2026-12-01"}}]}
    problem = assert_problem(await api.post(f"/projects/{project}/tasks/batch", json=batch), 400, "invalid_request")
    [error] = problem["errors"]
    assert (error["pointer"], error["detail"]) == ("/operations/0/task/deadline", SUGGESTED.format("due_date"))


def test_the_names_of_one_answer_cost_little_at_worst() -> None:
    # As long as the longest names, and of their letters, so that each is compared with them to the end.
    names = ["".join(sorted(name))[::-1] + str(number) for number, name in enumerate(VisibleTaskParams.model_fields)]
    began = process_time()
    for name in names[:MAX_REPORTED_ERRORS]:
        unknown("a parameter here", name, [VisibleTaskParams])
    assert process_time() - began < 0.1
