"""What every resource promises about requests that are wrong: tests that the tests of a feature inherit.

Values are tried where they are decided: `errors_in` asks a model, and `tests/core` the reader of JSON and the
parameters of lists. Here is what holds for each operation of a resource.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from app.core.database.database import Database
from app.core.http.problems import field_errors
from app.core.ids import uuid7
from app.core.json_body import read_json
from tests.support.client import Api, assert_problem
from tests.support.samples import JSON, MARKER, NOT_IDS, contents

WRITES = ("POST", "PUT", "PATCH")
CHANGES = ("PUT", "PATCH")
ON_ITEM = ("GET", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Resource:
    """Something that is created at one address, and read, changed and deleted at another."""

    collection: str
    item: str
    parameter: str
    """The id in the address of an item."""

    missing: str
    """The code of the answer where there is no such item."""

    good: dict[str, Any]
    """A body that may be sent to either address."""

    bad: dict[str, tuple[Any, str]]
    """For each member that a body may have, a value that is refused, and the code that says so."""

    def address(self, method: str) -> str:
        """Return where a method is asked for."""
        return self.collection if method == "POST" else self.item

    def item_of(self, id_: object) -> str:
        """Return the address of another item."""
        return f"{self.item.rpartition('/')[0]}/{id_}"


def errors_in(model: type[BaseModel], body: bytes | str) -> list[tuple[str, str]]:
    """Return pointer and code of each error in a body, as an operation that takes this model answers them.

    No detail may repeat `MARKER`.
    """
    try:
        model.model_validate(read_json(body if isinstance(body, bytes) else body.encode()))
    except ValidationError as error:
        found = field_errors(error, model, "body")
        assert not [item for item in found if MARKER in item["detail"]]
        return [(item["pointer"], item["code"]) for item in found]
    return []


@asynccontextmanager
async def unchanged(database: Database) -> AsyncGenerator[None]:
    """Fail if any row of any table is another at the end."""
    before = await contents(database)
    yield
    assert await contents(database) == before


async def refused(api: Api, method: str, address: str, **options: Any) -> list[dict[str, Any]]:
    """Return the errors of a request that is refused as invalid."""
    answer = await api.request(method, address, **options)
    assert MARKER not in answer.text
    problem = assert_problem(answer, 400, "invalid_request")
    assert problem["instance"] == address
    errors: list[dict[str, Any]] = problem["errors"]
    assert errors[0]["detail"] in problem["detail"]
    return errors


class BadRequestTests:
    """Tests of a resource that has the five usual operations. A feature inherits them and has a fixture `resource`."""

    @pytest.fixture(autouse=True)
    async def _nothing_changes(
        self,
        resource: Resource,  # noqa: ARG002 - it stores rows, as the next does
        api: Api,  # noqa: ARG002
        database: Database,
    ) -> AsyncIterator[None]:
        async with unchanged(database):
            yield

    @pytest.mark.parametrize("method", WRITES)
    async def test_each_bad_member_is_named_with_its_code(self, api: Api, resource: Resource, method: str) -> None:
        unknown = {"id": MARKER, "created_at": MARKER, "etag": MARKER, "a/b~c": MARKER}
        wanted = {(f"/{name}", code) for name, (_, code) in resource.bad.items()}
        wanted |= {(pointer, "unknown") for pointer in ("/id", "/created_at", "/etag", "/a~1b~0c")}
        body = {name: value for name, (value, _) in resource.bad.items()} | unknown
        errors = await refused(api, method, resource.address(method), json=body)
        assert {(error["pointer"], error["code"]) for error in errors} == wanted

    @pytest.mark.parametrize("method", WRITES)
    async def test_one_bad_member_keeps_good_ones_from_being_stored(
        self, api: Api, resource: Resource, method: str
    ) -> None:
        for name, (value, code) in resource.bad.items():
            errors = await refused(api, method, resource.address(method), json=resource.good | {name: value})
            assert [(error["pointer"], error["code"]) for error in errors] == [(f"/{name}", code)]

    @pytest.mark.parametrize("method", WRITES)
    async def test_invalid_json_is_refused(self, api: Api, resource: Resource, method: str) -> None:
        body = f'{{"name": "{MARKER}"'.encode()
        answer = await api.request(method, resource.address(method), content=body, headers=JSON)
        assert MARKER not in answer.text
        assert "errors" not in assert_problem(answer, 400, "invalid_json")

    @pytest.mark.parametrize("method", WRITES)
    async def test_body_that_is_no_object_is_refused(self, api: Api, resource: Resource, method: str) -> None:
        for body in (b"", f'["{MARKER}"]'.encode()):
            errors = await refused(api, method, resource.address(method), content=body, headers=JSON)
            assert [(error["pointer"], error["code"]) for error in errors] == [("", "object_required")]

    @pytest.mark.parametrize("method", WRITES)
    async def test_other_media_type_is_refused(self, api: Api, resource: Resource, method: str) -> None:
        media_types = ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "json", ""]
        for media_type in [
            *media_types,
            "application/jsonl",
            *(["application/merge-patch+json"] * (method != "PATCH")),
        ]:
            headers = {"Content-Type": media_type}
            answer = await api.request(method, resource.address(method), content=b"{}", headers=headers)
            assert "application/json" in assert_problem(answer, 415, "unsupported_media_type")["detail"]

    @pytest.mark.parametrize("method", WRITES)
    async def test_body_above_the_limit_is_refused_declared_or_not(
        self, api: Api, resource: Resource, method: str
    ) -> None:
        body = b"{" + b" " * (128 * 1024) + b"}"
        for content in (body, in_chunks(body)):
            answer = await api.request(method, resource.address(method), content=content, headers=JSON)
            assert_problem(answer, 413, "body_too_large")

    async def test_unknown_parameter_is_refused_by_each_operation(self, api: Api, resource: Resource) -> None:
        for method, address in [*((method, resource.item) for method in ON_ITEM), ("POST", resource.collection)]:
            body: dict[str, Any] = {"json": resource.good} if method in WRITES else {}
            answer = await api.request(method, f"{address}?force={MARKER}", **body)
            assert MARKER not in answer.text
            problem = assert_problem(answer, 400, "invalid_request")
            assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [("force", "unknown")]

    async def test_bad_page_is_refused_by_the_list(self, api: Api, resource: Resource) -> None:
        for query, parameter, code in (
            ("page=0", "page", "greater_than_equal"),
            ("size=101", "size", "less_than_equal"),
            ("cursor=&page=1", "page", "contradiction"),
            ("size=2&size=3", "size", "repeated"),
            ("order=name", "order", "unknown"),
        ):
            problem = assert_problem(await api.get(f"{resource.collection}?{query}"), 400, "invalid_request")
            assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]
        assert (await api.get(f"{resource.collection}?size=100")).json()["size"] == 100

    @pytest.mark.parametrize("method", ON_ITEM)
    async def test_malformed_id_is_refused(self, api: Api, resource: Resource, method: str) -> None:
        body: dict[str, Any] = {"json": {}} if method in WRITES else {}
        for not_id in NOT_IDS if method == "GET" else NOT_IDS[:1]:
            answer = await api.request(method, resource.item_of(not_id), **body)
            problem = assert_problem(answer, 400, "invalid_request")
            expected = {"parameter": resource.parameter, "detail": "must be a UUID", "code": "uuid_parsing"}
            assert problem["errors"] == [expected]

    async def test_unknown_method_is_answered_with_the_known_ones(self, api: Api, resource: Resource) -> None:
        for address, allowed, methods in (
            (resource.collection, "GET, HEAD, POST", ("DELETE", "PUT", "OPTIONS", "BREW")),
            (resource.item, "DELETE, GET, HEAD, PATCH, PUT", ("POST", "OPTIONS", "TRACE")),
        ):
            for method in methods:
                answer = await api.request(method, address)
                assert_problem(answer, 405, "method_not_allowed")
                assert answer.headers["allow"] == allowed

    @pytest.mark.parametrize("method", CHANGES)
    async def test_missing_item_is_404_whatever_else_is_wrong(self, api: Api, resource: Resource, method: str) -> None:
        for request in ({"content": b"{", "headers": JSON}, {"json": {"id": 1}}, {"content": b"x"}):
            answer = await api.request(method, resource.item_of(uuid7()), **request)
            assert_problem(answer, 404, resource.missing)

    @pytest.mark.parametrize("method", WRITES)
    async def test_anonymous_caller_learns_nothing_of_the_rest(
        self, anonymous: Api, resource: Resource, method: str
    ) -> None:
        for request in (
            {"content": b"{", "headers": JSON},
            {"json": {"id": 1}},
            {"content": b"x", "headers": {"Content-Type": "text/plain"}},
            {"params": {"force": "yes"}, "json": {}},
        ):
            answer = await anonymous.request(method, resource.address(method), **request)
            assert_problem(answer, 401, "not_authenticated")
            assert answer.headers["www-authenticate"] == "Bearer"


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    """Send a body without declaring its length."""
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]
