"""The pages of documentation: served from here alone, nothing is loaded from elsewhere."""

import json
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from fastapi import FastAPI

from app.core.errors import AppError
from app.core.http.static_content import StaticContent

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
        ("swagger-ui-bundle.js", "swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "swagger-ui/favicon-32x32.png", "image/png"),
    )
}
"""The files that the page needs, by name."""


def openapi_document(app: FastAPI) -> StaticContent:
    """Return the OpenAPI document of an application, to be made when it is asked for or prepared."""
    return StaticContent(lambda: json.dumps(app.openapi(), separators=(",", ":")).encode(), "application/json")


def docs_page(prefix: str) -> StaticContent:
    """Return the documentation's page, whose files are found under a prefix."""

    def page() -> bytes:
        return (STATIC / "docs.html").read_text().replace('="/docs/', f'="{prefix}/docs/').encode()

    return StaticContent(page, "text/html", {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


_ERRORS_PAGE = """\
# Errors

<!-- Written by `make docs` from the classes of the errors: change those, not this page. -->

Whatever is not fulfilled is answered with a problem document (RFC 9457, `application/problem+json`). `code` is made for
programs and stays; `title` says what happened, the same each time; `detail` says it for this time, and what to do. In
the log of the service, `request_id` is what to search for. `errors` lists the values that were refused, each by its
place in the body (`pointer`, RFC 6901) or by its `parameter`, with a `code` of its own.

```sh
api -X POST http://localhost:8000/projects/ -d '{"name": "", "colour": "red"}'
```

```json
{"type":"/problems/invalid_request","title":"The request is invalid","status":400,"detail":"/name: String should have at least 1 character (1 more in `errors`)","instance":"/projects/","code":"invalid_request","request_id":"…","errors":[{"pointer":"/name","detail":"String should have at least 1 character","code":"string_too_short"},{"pointer":"/colour","detail":"is not a member that can be set here","code":"unknown"}]}
```

`type` leads to what the code means, on the service itself:

```sh
api http://localhost:8000/problems/body_too_large
```

```json
{"code":"body_too_large","title":"Body too large","status":413,"description":"The request body is larger than the service accepts."}
```

A 401 carries `WWW-Authenticate`, a 405 `Allow`, a 429 or 503 `Retry-After` in seconds. After a 503, or without any
answer, nobody can tell whether the request was carried out; after any other of these, it was not.
"""  # noqa: E501 - an answer is one line


def errors_page() -> str:
    """`docs/api/errors.md`: what every code means, by status."""
    kinds = sorted(AppError.catalogue.values(), key=lambda kind: (kind.status, kind.code))
    lines = [_ERRORS_PAGE]
    for status, group in groupby(kinds, key=lambda kind: kind.status):
        lines.append(f"## {status} {HTTPStatus(status).phrase}\n")
        for kind in group:
            lines += [f"### {kind.code}\n", *wrap(f"*{kind.title}.* {kind.help}", 120, break_on_hyphens=False), ""]
    return "\n".join(lines)
