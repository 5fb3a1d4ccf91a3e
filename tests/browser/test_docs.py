"""The documentation page as a person uses it: in a real browser, against the real service."""

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME
from app.auth.errors import InvalidCredentialsError
from tests.conftest import emptied
from tests.contract.languages import needed
from tests.support import server, tools
from tests.support.process import Service

pytestmark = pytest.mark.slow

FLAGS = (
    # Chromium refuses its sandbox to root, as whom a build container runs.
    "--no-sandbox",
    "--disable-gpu",
    # The rest keeps the browser from calling home: the test asserts where requests go.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

SCREENS = [(1300, "light"), (390, "dark")]
"""Widths and colours. What fits does not depend on the colour, nor a colour on the width."""

RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`);
});
"""


class Visit:
    """A page of the service, and what went on behind it."""

    def __init__(self, page: Page, service: Service) -> None:
        self.page = page
        self.service = service
        self.addresses: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.add_init_script(RECORD_VIOLATIONS)

    def open(self) -> None:
        """Show the documentation."""
        self.page.goto(f"{self.service.url}/docs")
        self.page.locator(".opblock").first.wait_for()

    def try_to_sign_in(self, password: str) -> Locator:
        """Press Authorize and fill in the OAuth2 password form; the dialog."""
        self.page.get_by_role("button", name="Authorize").click()
        dialog = self.page.locator(".dialog-ux")
        username = dialog.locator("#oauth_username")
        expect(username).to_be_focused()
        expect(username).to_be_in_viewport()
        # The service knows no clients.
        expect(dialog.get_by_text("client", exact=False).filter(visible=True)).to_have_count(0)
        username.fill(SEED_USERNAME)
        dialog.locator("#oauth_password").fill(password)
        dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
        return dialog

    def sign_in(self) -> None:
        """Sign in as the seed's admin."""
        dialog = self.try_to_sign_in(SEED_PASSWORD)
        expect(dialog.get_by_role("heading", name="Authorized", exact=True)).to_be_visible()
        dialog.locator("button.btn-done").first.click()
        expect(dialog).to_have_count(0)

    def operation(self, tag: str, name: str) -> Locator:
        """Unfold an operation."""
        block = self.page.locator(f"#operations-{tag}-{name}")
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Execute").wait_for()
        return block

    def execute(self, block: Locator) -> tuple[int, Any]:
        """Press Execute; the status and the body of the answer, which the page shows."""
        with self.page.expect_response(re.compile("/api/v1/")) as received:
            block.get_by_role("button", name="Execute").click()
        response = received.value
        shown = block.locator(".live-responses-table")
        expect(shown.locator("tbody .response-col_status")).to_contain_text(str(response.status))
        expect(shown.locator(".headerline", has_text=response.headers["x-request-id"])).to_be_visible()
        return response.status, response.json()

    def barriers(self) -> list[str]:
        """What axe-core finds that keeps people from hearing, seeing or reaching something."""
        needed("node")
        # Not as a script of the page, which its Content-Security-Policy would stop.
        self.page.evaluate((tools.node_modules() / "axe-core" / "axe.min.js").read_text())
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]

    def violations(self) -> list[str]:
        """What the page's Content-Security-Policy has stopped."""
        found: list[str] = self.page.evaluate("window.violations")
        return found


@pytest.fixture(scope="module")
def browser(process: Service) -> Iterator[Browser]:
    """The system's Chromium, started once. What the pages wrote is deleted at the end."""
    path = shutil.which("chromium")
    if path is None:
        reason = "Chromium is not installed, so the documentation page was not tried in a browser"
        if os.environ.get("TALLER_TEST_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
    # Playwright has an event loop, while which no other can run.
    server.execute(process.database_url, emptied(people="username <> 'admin'"))


@pytest.fixture
def visit(browser: Browser, process: Service) -> Iterator[Visit]:
    """A new profile of the browser, not yet anywhere."""
    with browser.new_context(viewport={"width": 1280, "height": 1400}) as context:
        context.set_default_timeout(15_000)
        yield Visit(context.new_page(), process)


def test_page_signs_in_creates_project_and_lists_tasks(visit: Visit) -> None:
    visit.open()
    visit.sign_in()

    status, project = visit.execute(visit.operation("projects", "create_project"))
    assert (status, project["name"]) == (201, "Workshop")

    adding = visit.operation("tasks", "create_task")
    adding.get_by_placeholder("project_id").fill(project["id"])
    status, urgent = visit.execute(adding)
    assert (status, urgent["title"], urgent["priority"]) == (201, "Buy a workbench", 10)

    body = adding.locator("textarea.body-param__text")
    body.fill(body.input_value().replace("10", "5"))
    status, later = visit.execute(adding)
    assert (status, later["priority"]) == (201, 5)

    listing = visit.operation("tasks", "list_tasks")
    listing.get_by_placeholder("project_id").fill(project["id"])
    status, page = visit.execute(listing)
    assert (status, page["items"]) == (200, [urgent, later])

    assert visit.complaints == []
    assert visit.violations() == []
    foreign = [address for address in visit.addresses if not address.startswith((f"{visit.service.url}/", "data:"))]
    assert foreign == []
    assert f"{visit.service.url}/docs/swagger-ui-bundle.js" in visit.addresses


def test_page_blocks_inline_scripts_and_other_origins(visit: Visit) -> None:
    visit.open()
    visit.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.planted = true";
          document.body.append(script);
          const image = document.createElement("img");
          image.src = "http://elsewhere.test/pixel.png";
          document.body.append(image);
          return fetch("http://elsewhere.test/").catch(() => null);
        }"""
    )
    assert visit.page.evaluate("window.planted") is None
    assert sorted(visit.violations()) == [
        "connect-src http://elsewhere.test/",
        "img-src http://elsewhere.test/pixel.png",
        "script-src-elem inline",
    ]
    assert len(visit.complaints) >= 3


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_page_fits_and_follows_the_system(visit: Visit, width: int, scheme: Literal["light", "dark"]) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.emulate_media(color_scheme=scheme)
    visit.open()
    is_dark = visit.page.evaluate("document.documentElement.classList.contains('dark-mode')")
    assert is_dark == (scheme == "dark")

    block = visit.operation("tasks", "list_tasks")
    execute = block.get_by_role("button", name="Execute").bounding_box()
    start = block.bounding_box()
    assert execute is not None
    assert start is not None
    if width == 1300:
        assert execute["y"] - start["y"] < 1200
    # Swagger UI alone is 35 px wider than a phone.
    assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 4
    # The refusals are links in a line each, and no example of a parameter is sent unasked.
    assert block.locator("tr.response", has_text="404").locator("pre").count() == 0
    expect(block.get_by_placeholder("q", exact=True)).to_have_value("")


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_everybody_can_use_the_page(visit: Visit, width: int, scheme: Literal["light", "dark"]) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    visit.open()
    assert visit.barriers() == []
    dialog = visit.try_to_sign_in("wrong")
    expect(dialog.locator(".errors")).to_be_visible()
    assert visit.barriers() == []
    dialog.get_by_role("button", name="Close").last.click()
    for tag, name in (("projects", "update_project"), ("tasks", "list_tasks"), ("auth", "delete_me")):
        visit.operation(tag, name)
    visit.execute(visit.operation("projects", "create_project"))
    assert visit.barriers() == []

    with visit.page.expect_popup() as opened:
        visit.page.get_by_role("link", name="Guides", exact=True).click()
    visit.page = opened.value
    assert visit.barriers() == []
    visit.page.get_by_role("link", name="Limits", exact=True).click()
    expect(visit.page.get_by_role("heading", name="Limits", exact=True)).to_be_visible()
    assert visit.barriers() == []
    visit.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert visit.barriers() == ["button-name: <button></button>"]


def test_authorize_starts_at_username_and_shows_why_sign_in_failed(visit: Visit) -> None:
    visit.open()
    dialog = visit.try_to_sign_in("wrong")
    expect(dialog.locator(".errors")).to_contain_text(InvalidCredentialsError.help)


def test_wrong_values_and_empty_cursors_reach_the_service(visit: Visit) -> None:
    visit.open()
    visit.sign_in()
    block = visit.operation("tasks", "list_visible_tasks")
    block.get_by_placeholder("sort", exact=True).fill("prio")
    status, problem = visit.execute(block)
    assert (status, problem["errors"][0]["code"]) == (400, "unknown_name")
    block.get_by_placeholder("sort", exact=True).fill("")
    block.locator('tr[data-param-name="cursor"] input[type="checkbox"]').check()
    status, page = visit.execute(block)
    assert (status, page["page"]) == (200, None)


def test_the_filter_finds_words_of_descriptions(visit: Visit) -> None:
    visit.open()
    visit.page.locator(".operation-filter-input").fill("merge patch")
    expect(visit.page.locator("#operations-tasks-patch_task")).to_be_visible()
    expect(visit.page.locator("#operations-tasks-read_task")).to_have_count(0)
