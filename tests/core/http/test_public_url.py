"""Behind a proxy that strips a prefix, whatever the service refers to is found under that prefix."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from tests.support.client import Api, bearer_of
from tests.support.keys import keyed

PUBLIC = "https://example.org/taller"


@pytest.fixture
async def api(settings: Settings, database: Database, user: User) -> AsyncIterator[Api]:
    """The API as the proxy calls it: without the prefix."""
    app = create_app(settings.model_copy(update={"public_url": PUBLIC}))
    async with app.router.lifespan_context(app), Api(app, await bearer_of(app, user)) as api:
        yield api


def stripped(reference: str) -> str:
    """The path that a proxy makes of a reference."""
    assert reference.startswith("/taller/")
    return reference.removeprefix("/taller")


async def test_location_has_the_prefix_also_when_replayed(api: Api) -> None:
    for _ in range(2):
        made = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
        assert (await api.get(stripped(made.headers["location"]))).json()["id"] == made.json()["id"]


async def test_links_lead_to_the_other_pages(api: Api) -> None:
    for name in ("One", "Two", "Three"):
        await api.post("/projects/", json={"name": name})
    answer = await api.get("/projects/?size=1&page=2")
    links = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["link"])
    assert {relation for _, relation in links} == {"first", "prev", "next"}
    for target, _ in links:
        assert (await api.get(stripped(target))).status_code == 200


async def test_problems_lead_to_what_they_mean(api: Api) -> None:
    problem: dict[str, Any] = (await api.get("/nowhere")).json()
    assert problem["instance"] == "/taller/nowhere"
    assert (await api.get(stripped(problem["type"]))).json()["code"] == "not_found"


async def test_page_and_document_use_the_public_url(api: Api) -> None:
    references = re.findall(r"""(?:src|href)="([^"]*)\"""", (await api.get("/docs")).text)
    assert len(references) == 5
    for reference in references:
        assert (await api.get(stripped(reference))).status_code == 200
    document = (await api.get("/openapi.json")).json()
    assert document["servers"] == [{"url": PUBLIC}]
    token_url = document["components"]["securitySchemes"]["bearer"]["flows"]["password"]["tokenUrl"]
    assert stripped(token_url) in document["paths"]


async def test_no_server_is_named_where_the_address_is_not_known(anonymous: Api) -> None:
    assert "servers" not in (await anonymous.get("/openapi.json")).json()


@pytest.mark.parametrize(
    ("value", "prefix"),
    [("https://example.org", ""), ("http://example.org:8080/", ""), ("https://example.org/a/b/", "/a/b")],
)
def test_an_address_has_the_prefix_that_is_its_path(value: str, prefix: str) -> None:
    assert Settings(_env_file=None, public_url=value).public_prefix == prefix


@pytest.mark.parametrize(
    "value", ["example.org", "/taller", "ftp://x.org", "https://", "https://x.org/?a", "https://ä.org"]
)
def test_anything_else_is_no_address(value: str) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, public_url=value)
