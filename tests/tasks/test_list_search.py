"""Searching tasks by words."""

from typing import Any

import pytest
from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.projects.models import Project
from tests.auth.factories import UserFactory
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

TASKS = {
    "bench": ("Buy a workbench", "Beech, two metres long"),
    "beech": ("Order beech", "For the workbench: it's heavy"),
    "floor": ("Sweep the floor", None),
    "saege": ("Säge schärfen", "und die Bandsäge ölen"),
}

CASES = {
    "workbench": {"bench", "beech"},
    "WORKBENCH": {"bench", "beech"},
    "workb": {"bench", "beech"},
    "buy work": {"bench"},
    "wor buy": set(),
    '"order beech"': {"beech"},
    '"beech order"': set(),
    '"order bee"': set(),
    "beech -buy": {"beech"},
    "floor or order": {"floor", "beech"},
    "säge": {"saege"},
    "band": {"saege"},
    "it's": {"beech"},
    "-floor": {"bench", "beech", "saege"},
    "'": set(),
    '"': set(),
    "& | ! <-> :*": set(),
    "#": set(),
    "\\": set(),
    '-"beech or': {"bench", "floor", "saege", "beech"},
}


WRITTEN = {
    "Poseidon ABC-123": ("123", "abc-123", "ABC 123", "poseidon abc", "ABC-12"),
    "Fix login/logout": ("logout", "login", "login/logout", "fix login"),
    "Wi-Fi-Router": ("wi-fi", "router", "wi-fi-rou", '"fi router"'),
    "attachment-2024.pdf": ("2024", "pdf", "attachment", "attachment-2024.pdf"),
    "See https://example.org/docs/setup.html": (
        "https://example.org/docs/setup.html",
        "example.org",
        "setup.html",
        "docs/set",
        "//example.org/",
    ),
    "M\u0075\u0308ller's": ("m\u00fcller", "MU\u0308LLER", "müller's", "'müll"),
    "ben.smith+taller@mail.test": ("ben.smith+taller@mail.test", "@mail.test", "ben.smith", "taller@mail"),
    "Release v1.2.3-rc1": ("v1.2.3", "1.2.3-rc1 OR rc1", "rc1", "v1.2", '"v1.2.3"'),
    "Python 3.14": ("3.14", "3.1", "python:3.14"),
    "parse_due_date() in snake_case": ("due_date", "parse_due", "snake", "_case", "parse_due_date()"),
    "minus -17 °C, plus +49": ("17", '"-17"', "49", "+49", "17°"),
    "O'Brien \\ C:\\temp\\file": ("o'brien", "C:\\temp", "temp\\file", "brien \\", "o’brien"),
    "«Tür» — Straße": ("tür", "straße", "»tür«", "tür — straße", "“tür straße”"),
    "ΟΔΟΣ Αθήνα": ("οδος", "οδοσ", "αθήνα"),
    "İstanbul ILICA": ("istanbul", "İSTANBUL", "ilica"),
    "プロジェクト管理": ("管理", "プロジェクト", "管", "ジェ管理 or ト管"),
    "한국어 문서를": ("문서", "한국어"),
    "हिन्दी में": ("हिन्दी", "में"),
    "a" * 450: ("a" * 200, "a" * 101),
    "--force, #42 & <b>bold</b>": ("--force", "#42", "bold", "b>bold"),
}
"""Titles, each with what finds it and nothing else."""


async def searched(api: Api, path: str, words: str, **params: Any) -> list[str]:
    answer = await api.get(path, params={"q": words, **params})
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


@pytest.fixture
async def project(user: User, database: Database) -> Project:
    project = await project_of(database, user)
    for title, description in TASKS.values():
        await store(database, TaskFactory.build(project_id=project.id, title=title, description=description))
    return project


@pytest.mark.parametrize("words", CASES)
async def test_search_finds_tasks_with_its_words(api: Api, project: Project, words: str) -> None:
    found = await searched(api, f"/projects/{project.id}/tasks/", words)
    assert sorted(found) == sorted(TASKS[name][0] for name in CASES[words])
    assert sorted(await searched(api, "/tasks/", words)) == sorted(found)


async def test_title_is_found_in_any_spelling(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(
        database, *(TaskFactory.build(project_id=project.id, title=title, description=None) for title in WRITTEN)
    )
    path = f"/projects/{project.id}/tasks/"
    found = {words: await searched(api, path, words) for each in WRITTEN.values() for words in each}
    assert found == {words: [title] for title, each in WRITTEN.items() for words in each}


@pytest.mark.parametrize("words", ["fi-wi", "log", '"wi rou"', "123-abc", "c:emp", "example/org docs -setup", "理管"])
async def test_search_ignores_tasks_without_its_words(api: Api, user: User, database: Database, words: str) -> None:
    project = await project_of(database, user)
    await store(
        database, *(TaskFactory.build(project_id=project.id, title=title, description=None) for title in WRITTEN)
    )
    expected = [title for title in WRITTEN if words == "log" and "login" in title]
    assert await searched(api, f"/projects/{project.id}/tasks/", words) == expected


async def test_search_by_index_equals_search_by_words(database: Database) -> None:
    texts = [*WRITTEN, *(" ".join(filter(None, task)) for task in TASKS.values()), "x" * 99, "", "a b" * 50]
    mixed = (
        '-"beech two"',
        '"order beech" -floor',
        '"no such" or -floor',
        '-order -"wi fi"',
        "-a/b or fi-wi",
        '"t" "w"',
    )
    queries = [*CASES, *(words for each in WRITTEN.values() for words in each), *mixed, "", "T", "-T", '"t t"']
    wrong = await database.fetch_all(
        text("""
        SELECT title, asked FROM unnest(:titles, :bodies) AS task (title, body), unnest(:queries) AS asked
        WHERE (
            search_entries(title, nullif(body, ''), :own) @@ search_entries_for(search_terms(asked), :own)
            AND (search_words(title, nullif(body, '')) @@ search_phrases(asked)) IS NOT FALSE
        ) IS DISTINCT FROM search_words(title, nullif(body, '')) @@ search_terms(asked)
        """).bindparams(
            bindparam("titles", texts, ARRAY(Text)),
            bindparam("bodies", texts[::-1], ARRAY(Text)),
            bindparam("queries", queries, ARRAY(Text)),
            own=uuid7(),
        )
    )
    assert wrong == []


async def test_search_finds_only_visible_tasks_of_its_project(
    api: Api, anonymous: Api, user: User, database: Database, project: Project
) -> None:
    other = await project_of(database, user)
    await store(database, TaskFactory.build(project_id=other.id, title="Another workbench"))
    ben = UserFactory.build()
    await store(database, ben)
    assert len(await searched(api, f"/projects/{project.id}/tasks/", "workbench")) == 2
    assert len(await searched(api, "/tasks/", "workbench")) == 3
    assert await searched(api, "/tasks/", f"#{other.id}") == []
    async with await anonymous.as_(ben) as stranger:
        assert await searched(stranger, "/tasks/", "workbench") == []


async def test_title_has_more_weight_than_description(api: Api, database: Database, project: Project) -> None:
    path = f"/projects/{project.id}/tasks/"
    assert await searched(api, path, "beech", sort="-relevance") == ["Order beech", "Buy a workbench"]
    assert await searched(api, path, "beech", sort="relevance") == ["Buy a workbench", "Order beech"]
    assert await searched(api, "/tasks/", "beech", sort="-relevance") == ["Order beech", "Buy a workbench"]
    await store(database, *TaskFactory.batch(5, project_id=project.id, title="More beech", description="beech " * 3))
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get(path, params={"q": "beech", "sort": "-relevance", "cursor": cursor, "size": 2})).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    by_number = (await api.get(path, params={"q": "beech", "sort": "-relevance"})).json()["items"]
    assert found == [item["id"] for item in by_number]
    assert len(set(found)) == 7
    assert "relevance" not in by_number[0]


async def test_changed_task_is_found_by_its_new_words(api: Api, project: Project) -> None:
    path = f"/projects/{project.id}/tasks/"
    task = (await api.get(path, params={"q": "floor"})).json()["items"][0]
    await api.patch(f"/tasks/{task['id']}", json={"description": "With the large broom"})
    assert await searched(api, path, "broom") == ["Sweep the floor"]
    await api.delete(f"/tasks/{task['id']}")
    assert await searched(api, path, "broom") == []


async def test_projects_are_found_by_name_role_and_time(api: Api, user: User, database: Database) -> None:
    mine = (await api.post("/projects/", json={"name": "Workshop", "description": "With a bench"})).json()
    await project_of(database, user, name="Garden", description=None)
    found = (await api.get("/projects/?q=bench")).json()
    assert ([item["id"] for item in found["items"]], found["total"]) == ([mine["id"]], 1)
    assert (await api.get("/projects/?role=owner&sort=name")).json()["total"] == 2
    assert (await api.get("/projects/?role=viewer")).json()["items"] == []
    later = (await api.get(f"/projects/?created_at_gt={mine['created_at']}")).json()["items"]
    assert [item["name"] for item in later] == ["Garden"]
    names = [item["name"] for item in (await api.get("/projects/?sort=name")).json()["items"]]
    assert names == ["Garden", "Workshop"]
