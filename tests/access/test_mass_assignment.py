"""What is only read cannot be written: every member of every answer, sent in every write, is refused by name."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI

from app.core.database.database import Database
from tests.access.declared import resolved
from tests.access.matrix import Operation, operations_of
from tests.access.scenario import fingerprint, ids_of, new_scenario, stored
from tests.access.table import rows
from tests.support.client import Api, assert_problem
from tests.support.openapi import DOCUMENT

WRITES = {name: operation for name, operation in operations_of(DOCUMENT).items() if operation.body}


def answered(document: Mapping[str, Any]) -> dict[str, Any]:
    """Every member of what the API answers with success, at any depth, with an example value."""
    found: dict[str, Any] = {}

    def collect(schema: Mapping[str, Any]) -> None:
        schema = resolved(document, schema)
        for example in schema.get("examples", ()):
            found.update({name: value for name, value in example.items() if name in schema["properties"]})
        for name, property_ in schema.get("properties", {}).items():
            found.setdefault(name, True)
            collect(property_)
        for part in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
            collect(part)

    for schema in _answers(document):
        collect(schema)
    return found


def _answers(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    yield from (content.get("schema", {}) for content in response.get("content", {}).values())


READ = answered(DOCUMENT)


def test_the_members_that_matter_are_among_those_that_are_tried() -> None:
    assert {"id", "user_id", "project_id", "role", "created_at", "updated_at", "is_superuser", "is_active"} <= set(READ)
    assert {"secret", "prefix", "last_used_at", "one_time_password", "signed_in_by", "method", "total"} <= set(READ)
    assert {"create_project", "update_project", "patch_task", "update_me", "update_user", "set_member"} <= set(WRITES)


@pytest.mark.parametrize("operation", WRITES.values(), ids=WRITES)
async def test_what_is_only_read_is_refused_by_name(app: FastAPI, database: Database, operation: Operation) -> None:
    scenario = await new_scenario(app, None)
    # Some things only their owner may write.
    here = scenario.here
    own = await stored(database, here.project, scenario.people["admin"], here.member)
    before = await fingerprint(database)
    ids, valid = {**scenario.ids("admin"), **ids_of(own)}, rows()[operation.name].body
    assert valid is not None
    # `hashed_password` and `password_state` are columns that no answer has.
    members = {**READ, "hashed_password": "x", "password_state": "chosen", "owner_id": str(scenario.people["owner"].id)}
    async with Api(app, scenario.headers["admin"]) as api:
        for name in members.keys() - operation.body.keys():
            body = {**valid(scenario), name: members[name]}
            problem = assert_problem(
                await api.request(operation.method, operation.path.format_map(ids), json=body), 400, "invalid_request"
            )
            assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(f"/{name}", "unknown")]
    assert await fingerprint(database) == before
