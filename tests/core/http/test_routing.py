"""How an address finds its operation."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.core.errors import MethodNotAllowedError, NotFoundError
from app.core.guards import Public
from app.core.http.routing import ApiRoute, FeatureRouter
from app.core.http.trie import TrieRouter
from app.features import ROUTERS
from tests.support.client import Api, assert_problem
from tests.support.samples import FORMS


async def endpoint() -> None:
    return None


def operation(path: str, method: str = "GET") -> ApiRoute:
    return ApiRoute(path, endpoint, methods=[method], dependencies=[Public])


def found(router: TrieRouter, path: str, method: str = "GET") -> tuple[str, dict[str, str]] | str | None:
    """The route's path and its parameters; or the methods that the address knows instead; or nothing."""
    try:
        route, parameters = router.find(path, method)
    except NotFoundError:
        return None
    except MethodNotAllowedError as refusal:
        return refusal.headers["Allow"]
    return route.path, parameters


SAMPLE = TrieRouter(
    [
        operation("/health/live"),
        operation("/api/v1/things/"),
        operation("/api/v1/things/", "POST"),
        operation("/api/v1/things/{thing_id}"),
        operation("/api/v1/things/mine"),
        operation("/api/v1/things/{thing_id}/parts/{part_id}", "PUT"),
    ]
)


@pytest.mark.parametrize("path", ["/things", "/things/", "/api/v1/things", "/api/v1/things/"])
def test_an_operation_answers_at_four_addresses(path: str) -> None:
    assert found(SAMPLE, path) == ("/api/v1/things/", {})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/things/7", ("/api/v1/things/{thing_id}", {"thing_id": "7"})),
        ("/things/7/", ("/api/v1/things/{thing_id}", {"thing_id": "7"})),
        ("/things/mine", ("/api/v1/things/mine", {})),
        ("/things/mine/", ("/api/v1/things/mine", {})),
        ("/things/Mine", ("/api/v1/things/{thing_id}", {"thing_id": "Mine"})),
        ("/health/live", ("/health/live", {})),
        ("/health/live/", ("/health/live", {})),
        # A server decodes an encoded slash before we see it: it separates segments, as any other slash.
        ("/things/7/8", None),
        ("/", None),
        ("//", None),
        ("//things", None),
        ("/api/v1", None),
        ("/api/v1/", None),
        ("/api/v1/health/live", None),
        ("/api/v2/things/", None),
        ("/api/v1/api/v1/things/", None),
        ("/api/v1things", None),
        ("/health", None),
        ("/things/7/parts", None),
        ("/things//", ("/api/v1/things/{thing_id}", {"thing_id": ""})),
    ],
)
def test_static_segments_come_before_parameters_and_nothing_else_matches(path: str, expected: object) -> None:
    assert found(SAMPLE, path) == expected


def test_each_parameter_has_the_segment_at_its_place() -> None:
    assert found(SAMPLE, "/things/7/parts/mine/", "PUT") == (
        "/api/v1/things/{thing_id}/parts/{part_id}",
        {"thing_id": "7", "part_id": "mine"},
    )


def test_head_goes_where_get_goes() -> None:
    assert found(SAMPLE, "/things/", "HEAD") == found(SAMPLE, "/things/", "GET")


def test_another_method_learns_all_that_the_address_knows() -> None:
    assert found(SAMPLE, "/things", "DELETE") == "GET, HEAD, POST"
    assert found(SAMPLE, "/things/7/parts/8", "GET") == "PUT"


def test_operations_that_share_an_address_may_name_its_parameters_differently() -> None:
    router = TrieRouter([operation("/api/v1/things/{a}"), operation("/api/v1/things/{b}", "PUT")])
    assert found(router, "/things/7") == ("/api/v1/things/{a}", {"a": "7"})
    assert found(router, "/things/7", "PUT") == ("/api/v1/things/{b}", {"b": "7"})


OPERATIONS = [route for router in ROUTERS for route in router.routes if route.include_in_schema]


@pytest.mark.parametrize("route", OPERATIONS, ids=lambda route: f"{min(route.methods)} {route.path}")
async def test_no_operation_redirects(anonymous: Api, route: APIRoute) -> None:
    """Every operation, at every form of its address, with or without a token: never a 3xx."""
    canonical = re.sub(r"\{\w+\}", "x", route.path).rstrip("/")
    forms = {canonical, canonical + "/", canonical.removeprefix("/api/v1"), canonical.removeprefix("/api/v1") + "/"}
    answers = {
        (answer.status_code, answer.headers.get("location"))
        for form in forms
        for answer in [await anonymous.request(min(route.methods or ()), form)]
    }
    ((status, location),) = answers
    assert not 300 <= status < 400
    assert location is None


async def test_address_where_nothing_is_answers_404(anonymous: Api) -> None:
    for path in ("", "/project", "/projects/x/y", "/projects/x/tasks/z", "/api", "/docs/nothing.js"):
        for form in FORMS:
            address = form.format(path) or "/"
            assert assert_problem(await anonymous.get(address), 404, "not_found")["instance"] == address


async def test_head_is_answered_as_get_without_a_body(anonymous: Api) -> None:
    got, asked = await anonymous.get("/health/live"), await anonymous.request("HEAD", "/health/live")
    assert (asked.status_code, asked.headers["content-length"]) == (200, got.headers["content-length"])


def test_a_feature_router_names_operations_by_their_functions() -> None:
    router = FeatureRouter(prefix="/things", tag="things", dependencies=[Public])
    router.get("/")(endpoint)
    (route,) = router.routes
    assert (route.path, route.unique_id, route.tags) == ("/api/v1/things/", "endpoint", ["things"])


async def test_errors_of_two_parameters_are_reported_together(api: Api) -> None:
    problem: dict[str, Any] = assert_problem(await api.get("/projects/?page=0&size=0"), 400, "invalid_request")
    assert {error["parameter"] for error in problem["errors"]} == {"page", "size"}
