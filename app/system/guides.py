"""The guides of `docs/api/` as pages of the service: documentation leads to guides of the same release."""

import re
from collections.abc import Callable
from html import escape
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

from app.system.static_content import StaticContent

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "api"
STATIC = Path(__file__).parent / "static"

INDEX = "index"
"""The name of the page that lists the guides."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_ADDRESS = "http://localhost:8000"
"""The address of the service in the examples of the guides."""

_COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)


def guides_at(address: str, prefix: str) -> dict[str, StaticContent]:
    """Return the page of each guide by its name, and `INDEX`.

    Their examples call the service at this address; clients find the pages under the prefix.
    """

    def page(name: str) -> Callable[[], bytes]:
        return lambda: _index(prefix) if name == INDEX else _guide(name, address, prefix)

    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return {name: StaticContent(page(name), "text/html", headers) for name in (INDEX, *titles())}


def titles() -> dict[str, str]:
    """Return the title of each guide by its name, in the order of the titles."""
    found = {path.stem: path.read_text().partition("\n")[0].removeprefix("# ") for path in FOLDER.glob("*.md")}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def guide(name: str) -> dict[str, str]:
    """Return the `externalDocs` of the OpenAPI document that lead to a guide."""
    return {"description": titles()[name], "url": f"/docs/guides/{name}"}


def guided(tags: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """Return the tags with the prefix in the addresses of their guides."""
    return [
        {**tag, "externalDocs": {**guide, "url": prefix + guide["url"]}} if (guide := tag.get("externalDocs")) else tag
        for tag in tags
    ]


def _index(prefix: str) -> bytes:
    links = (f'<li><a href="{prefix}/docs/guides/{name}">{escape(title)}</a></li>' for name, title in titles().items())
    return _filled("Guides", f"<h1>Guides</h1>\n<ul>{''.join(links)}</ul>\n", prefix)


def _guide(name: str, address: str, prefix: str) -> bytes:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - most processes are never asked for a guide

    text = (FOLDER / f"{name}.md").read_text()
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(_COMMENT.sub("", text).replace(_ADDRESS, address))
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", inline.content.lower().replace(" ", "-"))
        for part in token.children or ():
            if part.type == "link_open":
                part.attrSet("href", _href(str(part.attrGet("href")), prefix))
    return _filled(titles()[name], markdown.renderer.render(tokens, markdown.options, {}), prefix)


def _href(target: str, prefix: str) -> str:
    """Return where a link of a guide leads when it is a page of the service."""
    path, number, fragment = target.partition("#")
    if path == "openapi.json":
        return f"{prefix}/openapi.json"
    if path.endswith(".md"):
        return f"{prefix}/docs/guides/{path.removesuffix('.md')}{number}{fragment}"
    return target


def _filled(title: str, content: str, prefix: str) -> bytes:
    template = Template((STATIC / "guide.html").read_text())
    return template.substitute(title=escape(title), content=content, prefix=prefix).encode()
