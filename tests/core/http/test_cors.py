"""Pages of other origins, where the settings name them: what they may send, and what they may read of the answer."""

from collections.abc import AsyncIterator

import pytest

from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from tests.support.client import Api

ORIGIN = "https://board.example"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[Api]:
    app = create_app(settings.model_copy(update={"cors_origins": (ORIGIN,)}))
    async with app.router.lifespan_context(app), Api(app, {"Origin": ORIGIN}) as api:
        yield api


@pytest.mark.parametrize(
    "header",
    [
        *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-API-Key"),
        *("traceparent", "tracestate", "baggage", "sentry-trace", "x-datadog-trace-id", "x-request-id"),
    ],
)
async def test_cors_allows_every_request_header(api: Api, header: str) -> None:
    wanted = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": header.lower()}
    answer = await api.request("OPTIONS", "/tasks/1", headers=wanted)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert header.lower() in answer.headers["access-control-allow-headers"].lower().split(", ")
    assert "PATCH" in answer.headers["access-control-allow-methods"]


async def test_a_page_may_read_the_headers_that_it_needs(api: Api) -> None:
    answer = await api.get("/health/live")
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    limits = {"RateLimit", "RateLimit-Policy", "Retry-After"}
    assert {"ETag", "Idempotent-Replayed", "Link", "Location", "Taller-Position", "X-Request-ID"} | limits == set(
        exposed
    )


async def test_another_origin_may_neither(api: Api) -> None:
    wanted = {"Origin": "https://other.example", "Access-Control-Request-Method": "PATCH"}
    answer = await api.request("OPTIONS", "/tasks/1", headers=wanted)
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in (await api.get("/health/live", headers=wanted)).headers
