"""Every sentence that docs/security.md promises names the tests that hold it, and those are there."""

import re
from collections import Counter

import pytest
from fastapi import FastAPI

from app.core.database.migrations import ROOT
from tests.auth.people import person, tokens_of, with_token
from tests.support.client import Api

PAGE = (ROOT / "docs" / "security.md").read_text()


def section(title: str) -> str:
    """What stands under a heading of the page."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def sentences() -> list[str]:
    """What is promised, without the words in bold that only say what it is about."""
    promised: list[str] = []
    for paragraph in section("What is promised").split("\n\n"):
        text = re.sub(r"^\*\*(.+?)(\.?)\*\*", r"\1\2", " ".join(paragraph.split()))
        promised += [sentence for sentence in re.split(r"(?<=\.) (?=[A-Z`])", text) if sentence]
    # A word alone with a full stop is such a heading.
    return [sentence for sentence in promised if len(sentence.split()) > 2]


def table() -> list[tuple[str, list[str]]]:
    """The first words of each promise, and its tests."""
    rows = re.findall(r"^\| (.+?) \| (`.+`) \|$", section("What holds the promises"), re.MULTILINE)
    return [(words, re.findall(r"`(.+?)`", tests)) for words, tests in rows]


def test_each_promise_names_its_tests_and_each_row_a_promise() -> None:
    promised, rows = sentences(), table()
    unheld = [sentence for sentence in promised if not any(sentence.startswith(words) for words, _ in rows)]
    assert unheld == [], "add a row with the test that holds it, or do not promise it"
    named = Counter(words for words, _ in rows for sentence in promised if sentence.startswith(words))
    assert {words: named[words] for words, _ in rows if named[words] != 1} == {}
    assert len(promised) > 30


@pytest.mark.parametrize("name", sorted({name for _, tests in table() for name in tests}))
def test_the_tests_that_promises_name_are_there_and_run(name: str) -> None:
    file, _, function = name.partition("::")
    source = (ROOT / "tests" / file).read_text()
    found = re.search(rf"((?:^ *@.*(?:\n[ )\]}}].*)*\n)*)^ *(?:async )?def {function}\(", source, re.MULTILINE)
    assert found, f"tests/{name} does not exist"
    # A browser may be missing where the tests run; everything else always runs.
    assert "skip" not in found[1] or file == "browser/test_docs.py", f"tests/{name} may be skipped"
    assert "xfail" not in found[1]


async def test_answers_with_secrets_have_no_tag_and_none_sets_cookies(app: FastAPI, anonymous: Api) -> None:
    await person(app, "root", is_superuser=True, password="correct horse battery")
    answers = [await anonymous.get("/docs"), await anonymous.get("/nowhere"), await anonymous.get("/auth/me")]
    credentials = {"username": "root", "password": "correct horse battery"}
    with_secrets = [
        await anonymous.post("/auth/login", json=credentials),
        await anonymous.post(
            "/auth/refresh", json={"refresh_token": (await tokens_of(anonymous, "root"))["refresh_token"]}
        ),
    ]
    async with with_token(app, with_secrets[0].json()["access_token"]) as root:
        with_secrets += [
            await root.post("/auth/api-keys", json={"name": "x", "scopes": ["tasks:read"]}),
            created := await root.post("/users/", json={"username": "Ben"}),
            await root.patch(f"/users/{created.json()['id']}", json={"reset_password": True}),
        ]
        answers += [await root.get("/auth/me"), await root.get("/projects/")]
    for answer in with_secrets:
        assert answer.is_success, answer.text
        assert {"access_token", "secret", "one_time_password"} & set(answer.json())
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
    assert [answer.url for answer in (*answers, *with_secrets) if "set-cookie" in answer.headers] == []


async def test_text_that_reads_as_sql_is_text(api: Api) -> None:
    hostile = [
        "'; DROP TABLE tasks; --", "' OR '1'='1", "$1 %s {x} :name \\' \\\\", "x'; SELECT pg_sleep(9); --",
        "%_\\", "\u02bc\uff07 OR 1=1", '"quoted" & <b>|</b> !a:*',
    ]  # fmt: skip
    project = (await api.post("/projects/", json={"name": hostile[0], "description": hostile[1]})).json()
    assert (project["name"], project["description"]) == (hostile[0], hostile[1])
    tasks = f"/projects/{project['id']}/tasks/"
    for text in hostile:
        created = (await api.post(tasks, json={"title": text, "description": text})).json()
        assert (created["title"], created["description"]) == (text, text)
    for name in ("q", "sort", "cursor", "priority", "due_date_lt", "created_at_gte", "completed", "size", "role"):
        for text in hostile:
            answer = await api.get(tasks, params={name: text})
            assert answer.status_code in {200, 400}, answer.text
    assert (await api.get(tasks)).json()["total"] == len(hostile)
