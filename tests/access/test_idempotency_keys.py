"""Every operation and idempotency keys: it takes them or refuses them by name, and nobody gets further by one."""

from typing import Any

import pytest
from fastapi import FastAPI

from app.core.database.database import Database
from app.features import ROUTERS
from tests.access.matrix import Operation, ask, operations_of, said
from tests.access.scenario import Scenario, ids_of, new_scenario, stored
from tests.access.table import Row, rows
from tests.support.client import Api, assert_problem
from tests.support.openapi import DOCUMENT

ROWS = rows()
UNSAFE = {name: it for name, it in operations_of(DOCUMENT).items() if it.method in {"POST", "PATCH"}}
TAKING = {
    operation["operationId"]
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
}
each = pytest.mark.parametrize("name", sorted(UNSAFE))


def request_of(row: Row, scenario: Scenario, key: str) -> dict[str, Any]:
    """What the operation is asked for, with a key."""
    body = {} if row.body is None else {"json": row.body(scenario)}
    return {**body, "headers": {"Idempotency-Key": key}}


def test_what_takes_keys_is_what_answers_with_no_secret() -> None:
    assert {"create_project", "patch_project", "create_task", "patch_task"} <= TAKING <= UNSAFE.keys()
    confidential = {route.name for router in ROUTERS for route in router.routes if not route.allows_replay}
    assert {"login", "create_api_key", "create_user"} <= UNSAFE.keys() - TAKING <= confidential


@each
async def test_it_is_done_once_or_not_at_all(app: FastAPI, database: Database, name: str) -> None:
    operation: Operation = UNSAFE[name]
    scenario = await new_scenario(app, ROWS[name].scope)
    here = scenario.here
    own = ids_of(await stored(database, here.project, scenario.people["admin"], here.member))
    async with Api(app) as api:
        # The same body each time: some are made up anew.
        options = request_of(ROWS[name], scenario, "k-1")
        first, second = [await ask(api, operation, scenario, "admin", options, own) for _ in range(2)]
    if name in TAKING:
        assert first.is_success
        assert (second.status_code, second.content) == (first.status_code, first.content)
        assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (None, "true")
    else:
        for answer in (first, second):
            (error,) = assert_problem(answer, 400, "invalid_request")["errors"]
            assert (error["parameter"], error["code"]) == ("Idempotency-Key", "unsupported")


@each
async def test_refused_caller_gets_the_same_answer_with_any_key(app: FastAPI, database: Database, name: str) -> None:
    operation, row = UNSAFE[name], ROWS[name]
    scenario = await new_scenario(app, row.scope)
    async with Api(app) as api:
        for caller in (caller for caller, answer in row.answers.items() if answer != "ok"):
            for key in ("k-1", "k-1", "not a key"):
                answer = await ask(api, operation, scenario, caller, request_of(row, scenario, key))
                assert said(answer) == row.answers[caller], (caller, key)
