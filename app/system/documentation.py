"""The pages of documentation: served from here alone, nothing is loaded from elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from app.system.guides import guides_at
from app.system.static_content import StaticContent

STATIC = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    # Swagger UI sets style attributes; they cannot load anything.
    "style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

ASSETS = {
    name: StaticContent((STATIC / file).read_bytes, media_type)
    for name, file, media_type in (
        ("docs.js", "docs.js", "text/javascript; charset=utf-8"),
        ("docs.css", "docs.css", "text/css; charset=utf-8"),
        ("guide.css", "guide.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "swagger-ui/favicon-32x32.png", "image/png"),
    )
}
"""The files that the page needs, by name."""


@dataclass(frozen=True)
class Documentation:
    """What an application tells about itself. Each is made when it is asked for, in a thread; the document, which takes
    0.2 s, at the start in production.
    """

    page: StaticContent
    document: StaticContent
    guides: Mapping[str, StaticContent]


def documentation_of(app: FastAPI, address: str, prefix: str) -> Documentation:
    """Return the documentation of an application at this address, whose files clients find under a prefix."""

    def page() -> bytes:
        return (STATIC / "docs.html").read_text().replace('="/docs/', f'="{prefix}/docs/').encode()

    def document() -> bytes:
        return json.dumps(app.openapi(), separators=(",", ":")).encode()

    return Documentation(
        StaticContent(page, "text/html", {"Content-Security-Policy": CONTENT_SECURITY_POLICY}),
        StaticContent(document, "application/json"),
        guides_at(address, prefix),
    )
