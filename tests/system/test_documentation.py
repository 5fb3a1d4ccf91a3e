"""`/docs` and `/problems/{code}`: served from here alone, and as they were vendored."""

import asyncio
import hashlib
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from app.core.config import Settings
from app.core.errors import AppError
from app.main import create_app
from app.system.documentation import STATIC
from tests.support.client import Api, assert_problem

VENDORED = STATIC / "swagger-ui"
ASSETS = {
    "docs.js": "text/javascript; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "guide.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
each_asset = pytest.mark.parametrize("asset", ASSETS)


def recorded_hashes() -> dict[str, str]:
    """The table of VENDORED.md."""
    table = (VENDORED / "VENDORED.md").read_text()
    return dict(re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", table, re.MULTILINE))


def test_the_vendored_files_are_those_that_were_recorded() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDORED.iterdir()}
    # What says where the rest comes from, and under which licence.
    words = {"VENDORED.md", "LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"}
    assert words < set(found)
    assert {name: value for name, value in found.items() if name not in words} == recorded_hashes()


async def test_the_page_may_load_and_run_nothing_from_elsewhere(anonymous: Api) -> None:
    response = await anonymous.get("/docs")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(maxsplit=1) for part in response.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "style-src": "'self' 'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


async def test_the_page_refers_to_nothing_but_the_assets(anonymous: Api) -> None:
    page = (await anonymous.get("/docs")).text
    references = re.findall(r"""(?:src|href)="([^"]*)\"""", page)
    assert sorted(references) == sorted(f"/docs/{asset}" for asset in ASSETS if asset != "guide.css")
    assert "://" not in page
    assert "<script>" not in page
    # The page's own script names the document, and the path of signing in, whose answers it looks at.
    named = re.findall(r'"([^"\n]*/[^"\n]*)"', (STATIC / "docs.js").read_text())
    assert named == ["../openapi.json", "/auth/login"]


@each_asset
async def test_an_asset_is_served_as_what_it_is(anonymous: Api, asset: str) -> None:
    response = await anonymous.get(f"/docs/{asset}")
    (file,) = STATIC.rglob(asset)
    assert (response.status_code, response.headers["content-type"]) == (200, ASSETS[asset])
    assert response.content == file.read_bytes()
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [*(f"/docs/{asset}" for asset in ASSETS), "/openapi.json"])
async def test_what_the_browser_has_is_not_sent_again(anonymous: Api, path: str) -> None:
    first = await anonymous.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = await anonymous.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await anonymous.get(path, headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{asset}" for asset in ASSETS), "/openapi.json"])
async def test_static_content_is_compressed_if_accepted(anonymous: Api, path: str) -> None:
    plain = await anonymous.get(path, headers={"Accept-Encoding": "br, gzip;q=0"})
    assert "content-encoding" not in plain.headers
    for accepted in ("gzip", "br;q=1.0, GZIP;q=0.8, *;q=0.1", "*"):
        answer = await anonymous.get(path, headers={"Accept-Encoding": accepted})
        assert (answer.headers["content-encoding"], answer.content) == ("gzip", plain.content)
        assert answer.headers["etag"] != plain.headers["etag"]
        again = await anonymous.get(
            path, headers={"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]}
        )
        assert (again.status_code, again.headers["vary"]) == (304, "Accept-Encoding")
        assert again.headers.get("content-security-policy") == answer.headers.get("content-security-policy")
    assert plain.headers["vary"] == "Accept-Encoding"


async def test_concurrent_requests_make_the_document_once(settings: Settings) -> None:
    app = create_app(settings)
    made_in: list[int] = []
    openapi = app.openapi

    def noted() -> dict[str, Any]:
        made_in.append(threading.get_ident())
        return openapi()

    app.openapi = noted  # type: ignore[method-assign]
    async with app.router.lifespan_context(app), Api(app) as api:
        answers = await asyncio.gather(*(api.get("/openapi.json") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(made_in) == 1
    assert made_in != [threading.get_ident()]


@pytest.mark.parametrize("asset", ["docs.html", "VENDORED.md", "LICENSE", "..", "%2e%2e", "nothing"])
async def test_no_other_file_is_an_asset(anonymous: Api, asset: str) -> None:
    assert_problem(await anonymous.get(f"/docs/{asset}"), 404, "not_found")


async def test_the_document_that_the_page_shows_is_the_applications(anonymous: Api) -> None:
    response = await anonymous.get("/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json()["info"]["title"] == "Taller"


@pytest.mark.parametrize("code", sorted(AppError.catalogue))
async def test_a_problems_type_leads_to_what_it_means(anonymous: Api, code: str) -> None:
    response = await anonymous.get(f"/problems/{code}")
    kind = AppError.catalogue[code]
    assert response.status_code == 200
    assert response.json() == {
        "code": code,
        "title": kind.title,
        "status": kind.status,
        "description": " ".join((kind.__doc__ or "").split()),
    }


@pytest.mark.parametrize("code", ["no_such_code", "INTERNAL_ERROR", "internal_error%00", "%F0%9F%94%A8"])
async def test_a_code_that_no_problem_has_is_a_404(anonymous: Api, code: str) -> None:
    problem = assert_problem(await anonymous.get(f"/problems/{code}"), 404, "problem_kind_not_found")
    # A URI reference, so encoded as it was asked for.
    assert problem["instance"] == f"/problems/{code}"


def test_the_licences_stand_beside_the_files() -> None:
    assert "Apache License" in Path(VENDORED / "LICENSE").read_text()
