"""The dictionary by which words are searched is a setting, applied by `taller migrate`."""

import os

import pytest

from tests.operations.test_cli_accounts import taller
from tests.support import server
from tests.support.process import running_service


def test_another_dictionary_finds_other_forms_of_a_word(server_url: str) -> None:
    with running_service(server_url) as service, service.client() as client:
        login = client.post("/auth/login", json={"username": "admin", "password": "1234"}).json()
        client.headers["Authorization"] = f"Bearer {login['access_token']}"
        project = client.post("/projects/", json={"name": "Workshop", "description": "Where benches are built"}).json()
        path = f"/projects/{project['id']}/tasks/"
        client.post(path, json={"title": "Sharpened chisels"})

        def found(words: str) -> int:
            return len(client.get(path, params={"q": words}).json()["items"])

        database = {"TALLER_DATABASE_URL": service.database_url}
        assert (found("sharpen chisel x"), found("sharpening")) == (0, 0)
        said = taller({**database, "TALLER_SEARCH_DICTIONARY": "english_stem"}, "migrate").stderr
        assert "words are searched by english_stem now" in said
        assert (found("sharpening"), found("sharpens chisel")) == (1, 1)
        assert client.get("/projects/", params={"q": "built bench"}).json()["total"] == 1
        assert taller({**database, "TALLER_SEARCH_DICTIONARY": "english_stem"}, "migrate").stderr == ""
        assert "searched by simple now" in taller(database, "migrate").stderr
        assert (found("sharpening"), found("sharpened")) == (0, 1)


@pytest.mark.parametrize("name", ["no_such_stem", "simple; DROP TABLE tasks"])
def test_a_dictionary_that_is_not_there_is_named(server_url: str, name: str) -> None:
    with server.database_copy(server_url, f"{server.PREFIX}dictionary_{os.getpid()}") as url:
        environment = {"TALLER_DATABASE_URL": url, "TALLER_SEARCH_DICTIONARY": name}
        said = taller(environment, "migrate", fails=True).stderr
    assert "dictionary" in said
