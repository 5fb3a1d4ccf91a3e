"""Titles in order: letter case and accents do not count, whatever the server's locale."""

import random

import pytest

from app.auth.models import User
from app.cli.upgrading import upgrade
from app.core.database.database import Database
from tests.migrations.history import fetch, fresh_name
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

IN_ORDER = [
    "10 nails",
    "2 nails",
    "Äpfel",
    "apple",
    "APPLE PIE",
    "Ça va",
    "cb",
    "déjà vu",
    "\ufb01nd",  # one letter for fi
    "İzmir",
    "Łódź",
    "Lund",
    "Ødegård",
    "o\u0308l",  # as a Mac writes it
    "öm",
    "straße",
    "STRASSEN",
    "zebra",
    "Zulu",
    "Ωμέγα",
    "ωμεγας",
    "дом",
    "ёж",
    "Жук",
    "日本",
    "😀",
]
"""As people look things up, but for digits, which are characters as any other."""


@pytest.mark.parametrize("sort", ["title", "-title"])
async def test_titles_are_sorted_without_case_and_accents_page_by_page(
    api: Api, user: User, database: Database, sort: str
) -> None:
    project, other = await project_of(database, user), await project_of(database, user)
    titles = random.Random(1).sample(IN_ORDER, len(IN_ORDER))
    await store(
        database,
        *(TaskFactory.build(project_id=(project, other)[n % 2].id, title=title) for n, title in enumerate(titles)),
    )
    cursor: str | None = ""
    found: list[str] = []
    while cursor is not None:
        page = (await api.get(f"/tasks/?sort={sort}&size=3&cursor={cursor}")).json()
        found += [item["title"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (found if sort == "title" else found[::-1]) == IN_ORDER
    by_number = (await api.get(f"/tasks/?sort={sort}&size=100")).json()["items"]
    assert [item["title"] for item in by_number] == found


async def test_titles_equal_but_for_case_follow_the_next_key(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for priority, title in enumerate(("apfel", "Äpfel", "APFEL", "a\u0308pfel")):
        await store(database, TaskFactory.build(project_id=project.id, title=title, priority=priority))
    first = (await api.get(f"/projects/{project.id}/tasks/?sort=title,-priority&size=2")).json()
    second = (await api.get(f"/projects/{project.id}/tasks/?sort=title,-priority&size=2&page=2")).json()
    assert [item["priority"] for item in first["items"] + second["items"]] == [3, 2, 1, 0]


async def test_project_names_are_sorted_without_case_and_accents(api: Api, user: User, database: Database) -> None:
    for name in ("zebra", "Äpfel", "apple", "Zulu"):
        await project_of(database, user, name=name)
    found = [item["name"] for item in (await api.get("/projects/?sort=name")).json()["items"]]
    assert found == ["Äpfel", "apple", "zebra", "Zulu"]


def test_order_does_not_depend_on_the_databases_locale(server_url: str) -> None:
    # In this one, PostgreSQL itself knows no letters but ASCII's. All other tests run on one that does.
    name = fresh_name()
    server.execute(server_url, f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    try:
        url = server.with_database(server_url, name)
        upgrade(url)
        rows = ", ".join(f"('{title}')" for title in reversed(IN_ORDER))
        assert fetch(url, "SELECT lower('Ä')") == ["Ä"]
        assert fetch(url, f'SELECT t FROM (VALUES {rows}) AS v(t) ORDER BY sort_key(t COLLATE "C")') == IN_ORDER
    finally:
        server.execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_no_index_compares_letters_by_the_locale_of_the_database(database_url: str) -> None:
    # Those of before 0016 are left for a release.
    left = {"users_username_lower_key", "users_email_lower_key"}
    found = fetch(
        database_url, "SELECT indexname || ' ' || indexdef FROM pg_indexes WHERE indexdef ~ '(lower|upper|sort_key)\\('"
    )
    by_locale = {line.split()[0] for line in found if 'COLLATE "C"' not in line}
    assert by_locale == left


@pytest.mark.parametrize("title", ["\ufdfa" * 500, "\U0001d160" * 500, "\u0390" * 500, "日" * 500, "\U0010ffff" * 500])
async def test_any_title_fits_into_the_index(database: Database, user: User, title: str) -> None:
    project = await project_of(database, user)
    await store(database, TaskFactory.build(project_id=project.id, title=title))
