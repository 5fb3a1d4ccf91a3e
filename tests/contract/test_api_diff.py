"""`make api-diff` names what a change takes from clients, and refuses it unless the version announces it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.database.migrations import ROOT
from tests.contract.languages import needed
from tests.support.api_diff import DOCUMENT, compare, may_break

Document = dict[str, Any]
TEXT = (ROOT / DOCUMENT).read_text()


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Taller", "-c", "user.email=nobody@taller.test")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)  # noqa: S603, S607 - wherever it is


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose release v0.1.0 has today's document."""
    file = tmp_path / DOCUMENT
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "A release.")
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path


def change(root: Path, *changes: Callable[[Document], object], version: str = "0.1.0") -> None:
    document: Document = json.loads(TEXT)
    for apply in changes:
        apply(document)
    document["info"]["version"] = version
    (root / DOCUMENT).write_text(json.dumps(document))


def remove_an_operation(document: Document) -> None:
    del document["paths"]["/api/v1/tasks/{task_id}"]["delete"]


def deprecate_an_operation(document: Document) -> None:
    document["paths"]["/api/v1/tasks/{task_id}"]["delete"]["deprecated"] = True


def remove_a_parameter(document: Document) -> None:
    parameters = document["paths"]["/api/v1/tasks/"]["get"]["parameters"]
    parameters[:] = [parameter for parameter in parameters if parameter.get("name") != "sort"]


def remove_a_member_of_answers(document: Document) -> None:
    schema = document["components"]["schemas"]["ProjectRead"]
    del schema["properties"]["tasks_total"]
    schema["required"].remove("tasks_total")


def demand_a_member_of_bodies(document: Document) -> None:
    document["components"]["schemas"]["ProjectCreate"]["required"].append("description")


def lower_a_limit(document: Document) -> None:
    document["components"]["schemas"]["TaskCreate"]["properties"]["title"]["maxLength"] = 20


def rename_an_operation(document: Document) -> None:
    document["paths"]["/api/v1/tasks/{task_id}"]["put"]["operationId"] = "replace_task"


def rename_a_schema(document: Document) -> None:
    schemas = document["components"]["schemas"]
    schemas["Alive"] = schemas.pop("Live")
    content = document["paths"]["/health/live"]["get"]["responses"]["200"]["content"]
    content["application/json"]["schema"] = {"$ref": "#/components/schemas/Alive"}


def answer_another_word(document: Document) -> None:
    document["components"]["schemas"]["Ready"]["properties"]["schema_state"]["enum"].append("unknown")


def add_to_answers_and_to_queries(document: Document) -> None:
    document["components"]["schemas"]["ProjectRead"]["properties"]["colour"] = {"type": "string"}
    colour = {"name": "colour", "in": "query", "required": False, "schema": {"type": "string"}}
    document["paths"]["/api/v1/tasks/"]["get"]["parameters"].append(colour)


BREAKING = {
    remove_an_operation: "DELETE /api/v1/tasks/{task_id}: API removed",
    remove_a_parameter: "GET /api/v1/tasks/: deleted the `query` request parameter `sort`",
    remove_a_member_of_answers: "GET /api/v1/projects/{project_id}: removed the required property `tasks_total`",
    demand_a_member_of_bodies: "POST /api/v1/projects/: the request property `description`",
    rename_an_operation: "PUT /api/v1/tasks/{task_id}: API operation id `update_task` removed",
    rename_a_schema: "`Live`",
    answer_another_word: "GET /health/ready: added the new `unknown` enum value",
    lower_a_limit: "the `title` request property's maxLength was decreased",
}


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_breaking_changes_are_named_and_refused_under_the_same_version(checkout: Path) -> None:
    needed("go")
    change(checkout, *BREAKING, add_to_answers_and_to_queries)
    holds, told = compare(checkout)
    assert not holds
    assert "breaking changes since v0.1.0" in told
    assert [line for line in BREAKING.values() if line not in told] == []
    assert "colour" not in told


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_version_that_announces_them_may_have_them(checkout: Path) -> None:
    needed("go")
    change(checkout, remove_an_operation, version="0.2.0")
    holds, told = compare(checkout)
    assert holds
    assert BREAKING[remove_an_operation] in told


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_was_deprecated_is_taken_away_all_the_same(checkout: Path) -> None:
    needed("go")
    change(checkout, deprecate_an_operation)
    assert compare(checkout)[0]
    git(checkout, "commit", "--all", "-m", "Another release.")
    git(checkout, "tag", "v0.1.1")
    change(checkout, remove_an_operation, version="0.1.2")
    holds, told = compare(checkout)
    assert not holds
    assert "since v0.1.1" in told


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_additions_break_nothing(checkout: Path) -> None:
    needed("go")
    change(checkout, add_to_answers_and_to_queries)
    assert compare(checkout) == (True, "nothing that clients of v0.1.0 rely on has changed")


@pytest.mark.slow
def test_without_a_release_it_says_so(checkout: Path) -> None:
    git(checkout, "tag", "--delete", "v0.1.0")
    holds, told = compare(checkout)
    assert (holds, "there is no release" in told) == (True, True)


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "1.0.0", True),
        ("1.2.0", "1.3.0", False),
        ("1.2.0", "2.0.0", True),
    ],
)
def test_the_number_that_announces_a_break(before: str, after: str, *, allowed: bool) -> None:
    assert may_break(before, after) is allowed
