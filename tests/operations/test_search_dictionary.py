"""The dictionary by which words are searched is a setting, applied by `taller migrate`."""

import asyncio
import os

import asyncpg
import pytest

from app.cli.upgrading import upgrade
from app.core.ids import uuid7
from tests.operations.test_cli_accounts import taller
from tests.support import server
from tests.support.process import Service, sign_in
from tests.tasks.test_list_search import WRITTEN

pytestmark = pytest.mark.slow


def test_another_dictionary_finds_other_forms_of_a_word(service: Service) -> None:
    with service.client() as client:
        sign_in(client)
        project = client.post("/projects/", json={"name": "Workshop", "description": "Where benches are built"}).json()
        path = f"/projects/{project['id']}/tasks/"
        client.post(path, json={"title": "Sharpened chisels"})

        def found(words: str) -> int:
            return len(client.get(path, params={"q": words}).json()["items"])

        database = {"TALLER_DATABASE_URL": service.database_url}
        assert (found("sharpen chisel x"), found("sharpening")) == (0, 0)
        said = taller({**database, "TALLER_SEARCH_DICTIONARY": "english_stem"}, "migrate").stderr
        assert "text search now uses the dictionary english_stem" in said
        assert (found("sharpening"), found("sharpens chisel")) == (1, 1)
        assert client.get("/projects/", params={"q": "built bench"}).json()["total"] == 1
        assert taller({**database, "TALLER_SEARCH_DICTIONARY": "english_stem"}, "migrate").stderr == ""
        assert "now uses the dictionary simple" in taller(database, "migrate").stderr
        assert (found("sharpening"), found("sharpened")) == (0, 1)


@pytest.mark.parametrize("name", ["no_such_stem", "simple; DROP TABLE tasks"])
def test_a_dictionary_that_is_not_there_is_named(server_url: str, name: str) -> None:
    with server.database_copy(server_url, f"{server.PREFIX}dictionary_{os.getpid()}") as url:
        environment = {"TALLER_DATABASE_URL": url, "TALLER_SEARCH_DICTIONARY": name}
        said = taller(environment, "migrate", fails=True).stderr
    assert "dictionary" in said


def test_words_do_not_depend_on_the_locale_of_the_database(server_url: str) -> None:
    name = f"{server.PREFIX}locale_{os.getpid()}"
    own = uuid7()
    pairs = [(title, words) for title, each in WRITTEN.items() for words in each]
    with server.database_copy(server_url, name, "template0") as url:
        server.execute(
            server_url,
            f'DROP DATABASE "{name}"',
            # The poorest that there is: to it, no letter is one but those of ASCII.
            f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'",
        )
        upgrade(url)

        async def missed() -> list[tuple[str, str]]:
            connection = await asyncpg.connect(server.plain_url(url))
            try:
                rows = await connection.fetch(
                    "SELECT title, words FROM unnest($1::text[], $2::text[]) AS pair (title, words) WHERE NOT "
                    "search_entries(title, NULL, $3) @@ search_entries_for(search_terms(words), $3)",
                    *zip(*pairs, strict=True),
                    own,
                )
            finally:
                await connection.close()
            return [tuple(row) for row in rows]

        assert asyncio.run(missed()) == []
