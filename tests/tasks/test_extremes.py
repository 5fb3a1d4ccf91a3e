"""Whatever is accepted is stored as it is, at both ends of every type's range: read back by the API and by SQL, found
by filters, and sorted.
"""

import json
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import product
from operator import eq, ge, gt, le, lt
from typing import Any

import pytest
from sqlalchemy import bindparam, text

from app.auth.models import User
from app.core.database.database import ConstraintError, Database
from app.tasks.models import MAX_DESCRIPTION_LENGTH, MAX_EXTERNAL_ID_LENGTH, MAX_TITLE_LENGTH
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.support.samples import JSON
from tests.tasks.factories import TaskFactory

LEAST, MOST = -(2**31), 2**31 - 1
FIRST, LAST = "0001-01-01", "9999-12-31"

VALUES: dict[str, list[Any]] = {
    "priority": [LEAST, LEAST + 1, -1, 0, 1, MOST - 1, MOST],
    "due_date": [None, FIRST, "0001-01-02", "1000-01-01", "1969-12-31", "2000-02-29", "9999-12-30", LAST],
    "title": [
        "x",
        "😀" * 500,
        "\U0010ffff" * 500,
        "é" * 500,
        "日" * 500,
        " \\ \" ' % _ { } \u200dx",
        "👩\u200d👩\u200d👧",
        "İıſẞ",
    ],
    "description": [None, "", "😀" * 10_000, "\t\r\n\u2028\u2029", " \\u0000 \\", "\ufeff\u200b", "x" * 10_000],
    "completed": [True, False],
}

STORED = text("""
    SELECT title, description, priority, completed, due_date::text AS due_date,
        char_length(title) AS length, isfinite(due_date) AS is_day
    FROM tasks WHERE id = CAST(:id AS uuid)
""").bindparams(bindparam("id"))


def rows_of_values() -> list[dict[str, Any]]:
    """Each value at least once, together with others."""
    most = max(map(len, VALUES.values()))
    return [{name: values[number % len(values)] for name, values in VALUES.items()} for number in range(most)]


async def created(api: Api, project: str, row: dict[str, Any]) -> dict[str, Any]:
    return answered(await api.post(f"/projects/{project}/tasks/", json=row), 201)


async def changed(api: Api, project: str, row: dict[str, Any], method: str) -> dict[str, Any]:
    task = await created(
        api, project, {"title": "Before", "description": "Before", "priority": 5, "due_date": "2026-11-25"}
    )
    return answered(await api.request(method, f"/tasks/{task['id']}", json=row), 200)


async def batched(api: Api, project: str, row: dict[str, Any], op: str) -> dict[str, Any]:
    operation: dict[str, Any] = {"op": "create", "task": row}
    if op == "update":
        task = await created(api, project, {"title": "Before", "due_date": "2026-11-25"})
        operation = {"op": "update", "id": task["id"], "changes": row}
    answer = await api.post(f"/projects/{project}/tasks/batch", json={"operations": [operation]})
    found: dict[str, Any] = answered(answer, 200)["results"][0]["task"]
    return found


def answered(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


WRITES = {
    "create": created,
    "PUT": partial(changed, method="PUT"),
    "PATCH": partial(changed, method="PATCH"),
    "batch create": partial(batched, op="create"),
    "batch update": partial(batched, op="update"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_extreme_values_are_read_back_unchanged(api: Api, user: User, database: Database, write: Any) -> None:
    project = str((await project_of(database, user)).id)
    for row in rows_of_values():
        task = await write(api, project, row)
        read = answered(await api.get(f"/tasks/{task['id']}"), 200)
        assert {name: task[name] for name in row} == row
        assert {name: read[name] for name in row} == row
        (stored,) = await database.fetch_all(STORED.bindparams(id=task["id"]))
        assert {name: stored[name] for name in row} == row
        assert (stored["length"], stored["is_day"]) == (len(row["title"]), None if row["due_date"] is None else True)


async def test_extreme_texts_of_projects_are_read_back_unchanged(api: Api, database: Database) -> None:
    for name, description in zip(("😀" * 200, "x", "é" * 200), ("😀" * 10_000, "\r\n\t", None), strict=True):
        project = answered(await api.post("/projects/", json={"name": name, "description": description}), 201)
        query = text("SELECT name, description FROM projects WHERE id = CAST(:id AS uuid)").bindparams(id=project["id"])
        assert await database.fetch_all(query) == [{"name": name, "description": description}]
        assert (project["name"], project["description"]) == (name, description)


@pytest.mark.parametrize("name", ["priority", "due_date"])
async def test_filters_find_extreme_values(api: Api, user: User, database: Database, name: str) -> None:
    project = (await project_of(database, user)).id
    values = [value for value in VALUES[name] if value is not None]
    await store(database, *(TaskFactory.build(project_id=project, **{name: _of(name, value)}) for value in values))
    comparisons = {"": eq, "_gte": ge, "_gt": gt, "_lte": le, "_lt": lt}
    for value, (suffix, compare) in product(values, comparisons.items()):
        answer = await api.get(f"/projects/{project}/tasks/?{name}{suffix}={value}&size=100")
        wanted = [other for other in values if compare(other, value)]
        if wanted or answer.status_code == 200:
            assert sorted(item[name] for item in answered(answer, 200)["items"]) == sorted(wanted), (suffix, value)
        else:
            assert answer.json()["errors"][0]["code"] == "contradiction", "nothing lies beyond the ends"


@pytest.mark.parametrize("sort", [f"{sign}{name}" for name in ("priority", "due_date", "title") for sign in ("", "-")])
async def test_cursors_pass_extreme_values(api: Api, user: User, database: Database, sort: str) -> None:
    project = (await project_of(database, user)).id
    name = sort.removeprefix("-")
    await store(
        database, *(TaskFactory.build(project_id=project, **{name: _of(name, value)}) for value in VALUES[name] * 2)
    )
    whole = answered(await api.get(f"/projects/{project}/tasks/?sort={sort}&size=100"), 200)["items"]
    cursor: str | None = ""
    walked: list[Any] = []
    while cursor is not None:
        page = answered(await api.get(f"/projects/{project}/tasks/?sort={sort}&size=1&cursor={cursor}"), 200)
        walked += page["items"]
        cursor = page["next_cursor"]
        assert len(walked) <= len(whole), "it goes round"
    assert walked == whole
    if name != "title":
        present = [item[name] for item in walked if item[name] is not None]
        assert present == sorted(present, reverse=sort.startswith("-"))


async def test_moments_are_found_at_both_ends_of_the_calendar(api: Api, user: User, database: Database) -> None:
    project = (await project_of(database, user)).id
    moments = [
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
    ]
    await store(
        database, *(TaskFactory.build(project_id=project, created_at=moment, updated_at=moment) for moment in moments)
    )
    step = timedelta(microseconds=1)
    written = [moment.isoformat().replace("+00:00", "Z") for moment in moments]
    items = answered(await api.get(f"/projects/{project}/tasks/?sort=created_at"), 200)["items"]
    assert [item["created_at"] for item in items] == written
    for moment, text_ in zip(moments, written, strict=True):
        before, after = ((moment + by).isoformat().replace("+00:00", "Z") for by in (-step, step))
        for bounds in (
            f"created_at_gte={text_}&created_at_lte={text_}",
            f"created_at_gt={before}&created_at_lt={after}",
        ):
            found = answered(await api.get(f"/projects/{project}/tasks/?{bounds}"), 200)["items"]
            assert [item["created_at"] for item in found] == [text_]
    everything = "created_at_gte=0001-01-01T00:00:00Z&created_at_lte=9999-12-31T23:59:59.999999Z"
    assert answered(await api.get(f"/projects/{project}/tasks/?{everything}"), 200)["total"] == 3


@pytest.mark.parametrize("written", ["1.0", "1e2", "-0.0", "-0", "2147483647.0", "-2.147483648e9", "1E0"])
async def test_a_whole_number_is_stored_however_it_is_written(
    api: Api, user: User, database: Database, written: str
) -> None:
    project = (await project_of(database, user)).id
    headers = {"Content-Type": "application/json"}
    body = f'{{"title": "x", "priority": {written}}}'
    task = answered(await api.post(f"/projects/{project}/tasks/", content=body, headers=headers), 201)
    assert (type(task["priority"]), task["priority"]) == (int, int(json.loads(written)))
    batch = f'{{"operations": [{{"op": "update", "id": "{task["id"]}", "changes": {{"priority": {written}}}}}]}}'
    answered(await api.post(f"/projects/{project}/tasks/batch", content=batch, headers=headers), 200)
    (stored,) = await database.fetch_all(STORED.bindparams(id=task["id"]))
    assert stored["priority"] == task["priority"]


async def test_any_text_that_is_accepted_is_stored_in_nfc(api: Api, user: User, database: Database) -> None:
    # What is the same in NFC is the same title, and is found by what it is.
    project = (await project_of(database, user)).id
    for sent, kept in (
        ("Mu\u0308ller", "Müller"),
        ("\u212b", "Å"),
        ("\u1112\u1161\u11ab", "한"),
        ("\ufb2c", "\u05e9\u05bc\u05c1"),
    ):
        task = await created(api, str(project), {"title": sent, "description": sent})
        assert (task["title"], task["description"]) == (kept, kept)
        (stored,) = await database.fetch_all(STORED.bindparams(id=task["id"]))
        assert (stored["title"], stored["description"]) == (kept, kept)


def _of(name: str, value: Any) -> Any:
    return date.fromisoformat(value) if name == "due_date" and value is not None else value


async def test_largest_task_fits_the_body_however_it_is_escaped(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    longest = {"title": "\U0001f600" * MAX_TITLE_LENGTH, "description": "\U0001f600" * MAX_DESCRIPTION_LENGTH}
    body = json.dumps(longest, ensure_ascii=True)
    answer = await api.post(f"/projects/{project.id}/tasks/", content=body, headers=JSON)
    assert answer.status_code == 201


BEYOND = {
    "title": ["''", f"repeat('x', {MAX_TITLE_LENGTH + 1})"],
    "description": [f"repeat('x', {MAX_DESCRIPTION_LENGTH + 1})"],
    "due_date": ["'infinity'", "'-infinity'"],
    "external_id": ["''", f"repeat('x', {MAX_EXTERNAL_ID_LENGTH + 1})"],
    "completed_at": ["now()"],
}
"""What the database itself refuses, by column of a task that is not completed."""


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column, values in BEYOND.items() for value in values]
)
async def test_raw_sql_stores_nothing_that_answers_rule_out(
    user: User, database: Database, column: str, value: str
) -> None:
    task = TaskFactory.build(project_id=(await project_of(database, user)).id, completed=False)
    await store(database, task)
    with pytest.raises(ConstraintError) as refused:
        await database.execute(text(f"UPDATE tasks SET {column} = {value} WHERE id = :id").bindparams(id=task.id))
    assert refused.value.constraint == "tasks_valid_check"
