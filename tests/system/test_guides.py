"""The guides as pages of the service, and the ways that lead to them."""

import re

import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.main import create_app
from app.system.guides import FOLDER, titles
from tests.support.client import Api, assert_problem

each_guide = pytest.mark.parametrize("name", titles())


def links_of(page: str) -> set[str]:
    """Where a page leads on the service itself, without fragments."""
    return {href.partition("#")[0] for href in re.findall(r'href="(/[^"]*)"', page)}


async def test_index_lists_every_guide(anonymous: Api) -> None:
    page = (await anonymous.get("/docs/guides")).text
    guides = {f"/docs/guides/{path.stem}" for path in FOLDER.glob("*.md")}
    assert len(guides) >= 10
    assert links_of(page) == {*guides, "/docs", "/docs/guides", "/docs/guide.css", "/docs/favicon-32x32.png"}


@each_guide
async def test_guide_is_a_page_whose_links_are_answered(anonymous: Api, name: str) -> None:
    response = await anonymous.get(f"/docs/guides/{name}")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script-src" not in response.headers["content-security-policy"]
    assert "<h1 id=" in response.text
    assert "<!--" not in response.text.replace("<!DOCTYPE", "")
    for link in links_of(response.text):
        assert (await anonymous.get(link)).status_code == 200, link
    # All other links lead to addresses on the internet: none is relative to the page.
    assert set(re.findall(r'href="(?!/|https?://|#)([^"]*)"', response.text)) == set()


async def test_guide_has_the_public_address_and_prefix(anonymous: Api, settings: Settings) -> None:
    plain = (await anonymous.get("/docs/guides/errors")).text
    assert f"API=http://localhost:{settings.port}/api/v1" in plain
    app = create_app(settings.model_copy(update={"public_url": "https://example.org/taller"}))
    async with Api(app) as api:
        page = (await api.get("/docs/guides/errors")).text
        assert "API=https://example.org/taller/api/v1" in page
        assert links_of(page)
        assert all(link.startswith("/taller/") for link in links_of(page))
        assert (await api.get("/", headers={"Accept": "text/html"})).headers["location"] == "/taller/docs"
    assert addresses(app) == {f"/taller{address}" for address in addresses(create_app(settings))}


async def test_other_names_are_no_guide(anonymous: Api) -> None:
    for name in ("nothing", "openapi.json", "..%2fsecurity", "errors.md"):
        assert_problem(await anonymous.get(f"/docs/guides/{name}"), 404, "not_found")


async def test_root_leads_browsers_to_the_documentation(anonymous: Api) -> None:
    browser = await anonymous.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (browser.status_code, browser.headers["location"], browser.headers["vary"]) == (307, "/docs", "Accept")
    for accepted in ("*/*", "application/json"):
        problem = assert_problem(await anonymous.get("/", headers={"Accept": accepted}), 404, "not_found")
        assert "/docs" in problem["detail"]


async def test_problems_lead_to_their_guide(anonymous: Api) -> None:
    response = await anonymous.get("/problems/")
    assert (response.status_code, response.headers["location"]) == (307, "/docs/guides/errors")


async def test_document_leads_to_the_guides(anonymous: Api, app: FastAPI) -> None:
    found = addresses(app)
    assert len(found) >= 5
    for address in found:
        assert (await anonymous.get(address)).status_code == 200, address


def addresses(app: FastAPI) -> set[str]:
    """Where the document sends its readers for more."""
    document = app.openapi()
    tags = [tag["externalDocs"] for tag in document["tags"] if "externalDocs" in tag]
    return {said["url"] for said in (document["externalDocs"], *tags)}
