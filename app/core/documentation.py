"""`/docs`, `/openapi.json` and `/problems/{code}`: served from here alone, nothing is loaded from elsewhere."""

import json
from http import HTTPStatus
from itertools import groupby
from pathlib import Path as FilePath
from textwrap import wrap
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Request, Response
from pydantic import ConfigDict

from app.core.errors import AppError, BodyTooLargeError, NotFoundError
from app.core.guards import Public
from app.core.openapi import problems
from app.core.routing import Operation
from app.core.schemas import Schema, with_example
from app.core.static_content import StaticContent

STATIC = FilePath(__file__).parent / "static"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    # Swagger UI sets style attributes; they cannot load anything.
    "style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_ASSETS = {
    name: StaticContent((STATIC / file).read_bytes, media_type)
    for name, file, media_type in (
        ("docs.js", "docs.js", "text/javascript; charset=utf-8"),
        ("swagger-ui-bundle.js", "swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "swagger-ui/favicon-32x32.png", "image/png"),
    )
}

router = APIRouter(
    tags=["documentation"],
    dependencies=[Public],
    route_class=Operation,
    generate_unique_id_function=lambda route: route.name,
)


class ProblemKindNotFoundError(NotFoundError):
    """No problem has this code."""

    code = "problem_kind_not_found"
    title = "No such kind of problem"


class ProblemKind(Schema):
    """What a problem's code means."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {"code": BodyTooLargeError.code, "title": BodyTooLargeError.title, "status": BodyTooLargeError.status}
            | {"description": BodyTooLargeError.help}
        )
    )

    code: str
    title: str
    status: int
    description: str


@router.get("/problems/{code}", summary="What does this problem mean?", responses=problems(ProblemKindNotFoundError))
async def read_problem_kind(
    code: Annotated[str, Path(description="The `code` of a problem.", examples=[BodyTooLargeError.code])],
) -> ProblemKind:
    """What a problem's `code` means and what to do about it. Every problem's `type` leads here."""
    kind = AppError.catalogue.get(code)
    if kind is None:
        raise ProblemKindNotFoundError
    return ProblemKind(code=kind.code, title=kind.title, status=kind.status, description=kind.help)


@router.get("/docs", include_in_schema=False)
async def read_docs(request: Request) -> Response:
    """The documentation as a page on which every operation can be tried."""
    page: StaticContent = request.app.state.docs_page
    return await page.respond(request)


@router.get("/docs/{asset}", include_in_schema=False)
async def read_docs_asset(asset: str, request: Request) -> Response:
    """A file that the page needs."""
    if asset not in _ASSETS:
        raise NotFoundError
    return await _ASSETS[asset].respond(request)


@router.get("/openapi.json", include_in_schema=False)
async def read_openapi(request: Request) -> Response:
    """The OpenAPI document."""
    document: StaticContent = request.app.state.openapi_document
    return await document.respond(request)


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
