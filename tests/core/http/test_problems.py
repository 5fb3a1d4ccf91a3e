"""Errors leave as problem documents, whatever raised them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database, DatabaseDep
from app.core.errors import AppError, InvalidRequestError, NotFoundError, UnavailableError, problem_document
from app.core.guards import Public
from app.core.http.problems import field_error, problem_of, problem_response
from app.core.http.routing import FeatureRouter
from app.core.http.trie import TrieRouter
from app.core.request_state import RequestState
from app.main import create_app
from tests.support.client import Api, assert_problem

SECRET = "q7zx-internal-detail"
SENT = "q7zx-what-somebody-sent"

router = FeatureRouter(prefix="/trials", tag="trials", dependencies=[Public])


@router.get("/bug")
async def bug() -> None:
    raise RuntimeError(SECRET)


@router.get("/answer-that-breaks-its-promise", response_model=int)
async def broken_promise() -> str:
    return SECRET


@router.get("/sql")
async def wrong_sql(database: DatabaseDep) -> None:
    await database.execute(text(f"SELECT CAST(:sent AS text) FROM {SECRET.replace('-', '_')}"), {"sent": SENT})


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError(SECRET)

    return StreamingResponse(chunks())


@router.post("/rolled-back")
async def rolled_back(database: DatabaseDep) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(text("CREATE TABLE trial_rolled_back ()"))
        raise NotFoundError


@router.post("/committed")
async def committed(database: DatabaseDep) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(text("CREATE TABLE trial_committed ()"))


@router.post("/refused-at-commit")
async def refused_at_commit(database: DatabaseDep) -> dict[str, str]:
    async with database.transaction() as transaction:
        await transaction.execute(text("CREATE TABLE trial_deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        await transaction.execute(text("INSERT INTO trial_deferred VALUES (1), (1)"))
    return {"status": "done"}


@pytest.fixture(scope="module")
async def trial_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with operations that fail in every way."""
    app = create_app(settings)
    app.innermost.operations = TrieRouter([*app.innermost.operations.routes, *router.routes])
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def trials(trial_app: FastAPI) -> AsyncIterator[Api]:
    async with Api(trial_app) as api:
        yield api


@pytest.mark.parametrize("path", ["/trials/bug", "/trials/answer-that-breaks-its-promise", "/trials/sql"])
async def test_unhandled_error_is_500_without_internals(
    trials: Api, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await trials.get(path)
    problem = assert_problem(answer, 500, "internal_error")
    assert SECRET not in answer.text
    assert set(problem) == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.name for record in logged] == ["app.core.http.middleware"]
    assert SECRET.replace("-", "_") in caplog.text.replace("-", "_"), "the log has what the answer hides"
    assert SENT not in caplog.text


async def test_response_in_progress_is_broken_off_on_error(trials: Api) -> None:
    with pytest.raises(RuntimeError, match=SECRET):
        await trials.get("/trials/stream")


async def test_commit_precedes_the_response_and_errors_roll_back(trials: Api, trial_app: FastAPI) -> None:
    assert (await trials.post("/trials/committed")).status_code == 200
    assert_problem(await trials.post("/trials/rolled-back"), 404, "not_found")
    # The client must not hold a 200 for work that the commit refused.
    assert_problem(await trials.post("/trials/refused-at-commit"), 500, "internal_error")
    tables = await trial_app.state.services[Database].fetch_all(
        text("SELECT relname FROM pg_class WHERE relname IN ('trial_committed', 'trial_rolled_back', 'trial_deferred')")
    )
    await trial_app.state.services[Database].execute(text("DROP TABLE IF EXISTS trial_committed"))
    assert tables == [{"relname": "trial_committed"}]


@pytest.mark.parametrize("name", ['a/"b"\\', *map(chr, range(0x20)), "\x7f", "ü€😀\u2028", "\ud83d"])
def test_a_problem_is_written_as_json_writes_it(name: str) -> None:
    scope: dict[str, Any] = {"path": "/"}
    RequestState("r-1").put_into(scope)
    error = InvalidRequestError.at("is unknown", "unknown", parameter=name)
    expected = json.dumps(problem_of(error, scope), separators=(",", ":")).encode()
    assert problem_response(error, scope).body == expected


def test_problem_is_ascii_json_with_its_media_type_and_headers() -> None:
    scope: dict[str, Any] = {"path": "/pröjects/x y"}
    RequestState("r-1").put_into(scope)
    response = problem_response(UnavailableError("Später \ud800"), scope)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "2"
    assert bytes(response.body).isascii()
    document = json.loads(bytes(response.body))
    assert document["detail"] == "Später \ud800"
    assert document["instance"] == "/pr%C3%B6jects/x%20y"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"loc": ("body", "a", 0, "b"), "type": "t", "msg": "m"}, {"pointer": "/a/0/b", "detail": "m", "code": "t"}),
        ({"loc": ("body", "~/"), "type": "t", "msg": "m"}, {"pointer": "/~0~1", "detail": "m", "code": "t"}),
        ({"loc": ("query", "page"), "type": "t", "msg": "m"}, {"parameter": "page", "detail": "m", "code": "t"}),
        (
            {"loc": ("body",), "type": "missing", "msg": "m"},
            {"pointer": "", "detail": "must be a JSON object", "code": "object_required"},
        ),
        (
            {"loc": ("path", "id"), "type": "uuid_parsing", "msg": "found `x` at 0"},
            {"parameter": "id", "detail": "must be a UUID", "code": "uuid_parsing"},
        ),
    ],
)
def test_a_finding_of_pydantic_is_told_without_the_value(found: dict[str, Any], expected: dict[str, str]) -> None:
    where, *rest = found["loc"]
    finding: Any = {**found, "loc": tuple(rest), "input": SECRET, "ctx": {"error": SECRET}}
    assert field_error(finding, None, (where,)) == expected


def test_a_long_member_name_is_cut() -> None:
    finding: Any = {"loc": ("x" * 5000,), "type": "t", "msg": "m"}
    assert len(field_error(finding, None, ("body",))["pointer"]) == 101


@pytest.mark.parametrize("code", sorted(AppError.catalogue))
async def test_the_type_of_every_problem_leads_to_its_explanation(anonymous: Api, code: str) -> None:
    kind = AppError.catalogue[code]
    answer = await anonymous.get(problem_document(kind, kind.help, instance="/", request_id="r")["type"])
    assert answer.json() == {"code": code, "title": kind.title, "status": kind.status, "description": kind.help}
