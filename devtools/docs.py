"""The documents that `make docs` writes from the code and from other documents. Tests compare what stands in docs/."""

import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from importlib import import_module
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

from fastapi.routing import APIRoute

import app
from app.auth.access import Admin, CallerGuard
from app.core.config import Settings
from app.core.errors import AppError
from app.core.guards import Guard, guards_of
from app.core.schemas import RequestModel
from app.core.text import Line, LongText
from app.features import ROUTERS
from app.main import create_app
from app.projects.access import EntityGuard
from app.projects.models import Role

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

_ERRORS_PAGE = """\
# Errors

<!-- Written by `make docs` from the classes of the errors: change those, not this page. -->

Every refusal is a problem document (RFC 9457, `application/problem+json`). `code` is for programs and stays the same in
later releases. `title` says what kind of problem it is. `detail` says what happened this time and what to do. Search the
log of the service for the `request_id`. `errors` lists the refused values: each has its place in the body (`pointer`, RFC
6901) or its `parameter`, and a `code` of its own.

{signing_in}
Then a request with two mistakes:

```sh
api -X POST $API/projects/ -d '{"name": "", "colour": "red"}'
```

```json
{"type":"/problems/invalid_request","title":"Invalid request","status":400,"detail":"/name must have at least 1 character (1 more in `errors`).","instance":"/api/v1/projects/","code":"invalid_request","request_id":"…","errors":[{"pointer":"/name","detail":"must have at least 1 character","code":"string_too_short"},{"pointer":"/colour","detail":"is not a member that can be set (known: description, name, require_if_match)","code":"unknown"}]}
```

`type` leads to what the code means, on the service itself:

```sh
api http://localhost:8000/problems/body_too_large
```

```json
{"code":"body_too_large","title":"Body too large","status":413,"description":"The request body is larger than the service accepts."}
```

A 401 carries `WWW-Authenticate`, a 405 `Allow`, a 429 or 503 `Retry-After` in seconds. After a 503, or without any
answer, the request may have been carried out or not. After any other problem, it was not.
"""  # noqa: E501 - an answer is one line

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; Python has others before 3.13."""

_INDEX = """\
# Documents

<!-- Written by `make docs` from the titles of the pages: change those, or devtools/docs.py. -->

Start with the [README](../README.md), five minutes by curl, or with `/docs` of a running service, where every operation
can be tried. How to work on Taller stands in [CONTRIBUTING](../CONTRIBUTING.md), what changed in the
[changelog](../CHANGELOG.md), how to report a weakness in the [security policy](../SECURITY.md).
"""

_SECTIONS = (
    (
        "For those who call the API",
        "Each page is a tour by curl. The [OpenAPI document](api/openapi.json) is the whole of it.",
        "api/*.md",
    ),
    ("For those who run it", "Every setting stands in [.env.example](../.env.example).", "o*.md sc*.md se*.md"),
    ("For those who change it", "The map first, then the recipes.", "a*.md st*.md how-to/*.md"),
    (
        "Decisions",
        (
            "Why it is as it is, one page each, made from the [template](decisions/template.md). A page tells what\n"
            "was true on its day; the numbers behind its title lead to decisions that changed it."
        ),
        "decisions/0*.md",
    ),
)
"""What each section holds: a heading, what to say first, and its pages."""


def openapi_page() -> str:
    """Return `docs/api/openapi.json`: the document of a service with every setting at its default."""
    # A prefix of no variable: those of this process change nothing.
    document = create_app(Settings(_env_file=None, _env_prefix="NOT_SET_")).openapi()
    # Sorted, so that a change of order in the code is no change here.
    return f"{json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)}\n"


def errors_page() -> str:
    """Return `docs/api/errors.md`: what every code means, by status."""
    # So that none stays unseen because the application does not import it.
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    kinds = sorted(AppError.catalogue.values(), key=lambda kind: (kind.status, kind.code))
    lines = [_ERRORS_PAGE.replace("{signing_in}", signing_in())]
    for status, group in groupby(kinds, key=lambda kind: kind.status):
        lines.append(f"## {status} {_PHRASES.get(status) or HTTPStatus(status).phrase}\n")
        for kind in group:
            lines += [f"### {kind.code}\n", *wrap(f"*{kind.title}.* {kind.help}", 120, break_on_hyphens=False), ""]
    return "\n".join(lines)


def signing_in() -> str:
    """Return what every page of `docs/api` begins with, so that its examples can be pasted: as the README does."""
    readme = (ROOT / "README.md").read_text()
    start = readme.index("Start the service (`make run`)")
    end = "\n```\n"
    return readme[start : readme.index(end, start) + len(end)]


def index_page() -> str:
    """Return `docs/README.md`: every page by its title."""
    lines = [_INDEX]
    for heading, first, patterns in _SECTIONS:
        pages = [page for pattern in patterns.split() for page in sorted(DOCS.glob(pattern))]
        lines += [f"## {heading}", "", first, "", *_entries(pages), ""]
    return "\n".join(lines)


def security_page() -> str:
    """Return `docs/security.md` with the table of who may do what, as the guards of the routes say."""
    head = "| operation | anonymous | stranger | viewer | editor | owner | admin | key scope |"
    lines = [head, re.sub(r"[^|]+", "---", head)]
    for route in _routes():
        (guard,) = guards_of(route)
        lines.append(f"| `{route.name}` | {' | '.join(_access(guard))} |")
    return _with_table("security.md", "the guards of the routes", lines)


def limits_page() -> str:
    """Return `docs/api/limits.md` with the table of the texts that people write, as the schemas of what is new say."""
    lines = ["| what | limit | beyond it |", "|---|---|---|"]
    models = {route.body_field.field_info.annotation for route in _routes() if route.body_field is not None}
    # In the order of the features, and each once.
    for model in sorted((model for model in models if isinstance(model, type)), key=lambda model: model.__module__):
        if issubclass(model, RequestModel) and model.__name__.endswith("Create"):
            for name, field in model.model_fields.items():
                for text in _texts((field.annotation, *field.metadata)):
                    least = f"{text.min_length} to " if text.min_length else ""
                    most = f"{text.max_length} characters"
                    visible = ", one of them visible" if text.min_length else ""
                    what = f"{_noun(model)}'s {name.replace('_', ' ')}"
                    lines.append(f"| {what} | {least}{most}{visible} | 400 `invalid_request` |")
    return _with_table("api/limits.md", "the schemas of what is new", lines)


def _texts(parts: Iterable[Any]) -> Iterator[Line | LongText]:
    """Yield what bounds a text, wherever in an annotation it stands."""
    for part in parts:
        if isinstance(part, Line | LongText):
            yield part
        else:
            yield from _texts(get_args(part))


def _noun(model: type) -> str:
    """Return what a schema like `ApiKeyCreate` makes: an API key."""
    words = re.findall("[A-Z][a-z]*", model.__name__.removesuffix("Create"))
    noun = " ".join("API" if word == "Api" else word.lower() for word in words)
    return f"{'an' if noun[0] in 'aeiouA' else 'a'} {noun}"


def _with_table(page: str, source: str, lines: list[str]) -> str:
    """Return a page with these lines in the place of its table, which is written from this source."""
    begin = f"<!-- Written by `make docs` from {source}: change those, not this table. -->\n"
    before, _, rest = (DOCS / page).read_text().partition(begin)
    _, end, after = rest.partition("<!-- Up to here. -->\n")
    return "\n".join([before + begin, *lines, "", end + after])


def _routes() -> Iterator[APIRoute]:
    for router in ROUTERS:
        yield from router.routes


def _access(guard: Guard) -> list[str]:
    """Return what a guard means for each kind of caller, and the scope that an API key needs."""
    if not isinstance(guard, CallerGuard):
        return ["yes"] * 6 + ["none needed"]
    scope = "session only" if guard.scope is None else f"`{guard.scope}`"
    if isinstance(guard, Admin):
        return ["401", "403", "403", "403", "403", "yes", scope]
    if not isinstance(guard, EntityGuard):
        return ["401", *["yes"] * 5, scope]
    least, own = (() if role is None else role.and_above for role in (guard.least, guard.own))
    roles = ["yes" if role.value in least else "own" if role.value in own else "403" for role in Role]
    return ["401", "404", *roles, "own" if guard.least is None else "yes", scope]


def _entries(pages: list[Path]) -> Iterator[str]:
    for page in pages:
        text = page.read_text()
        title = text.partition("\n")[0].removeprefix("# ")
        entry = f"- [{title}]({page.relative_to(DOCS)})"
        status = re.search(r"^Date: .*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
        numbers = set(re.findall(r"\b\d{4}\b", status[0])) if status else set()
        # Not every number is one of a page: there are years, too.
        links = [
            f"[{number}]({found.relative_to(DOCS)})"
            for number in sorted(numbers)
            for found in DOCS.glob(f"decisions/{number}-*")
            if found > page
        ]
        yield f"{entry}; see {', '.join(links)}" if links else entry


PAGES: dict[str, Callable[[], str]] = {
    "docs/README.md": index_page,
    "docs/api/errors.md": errors_page,
    "docs/api/limits.md": limits_page,
    "docs/api/openapi.json": openapi_page,
    "docs/security.md": security_page,
}
"""What is written, by its place."""


def main() -> None:
    """Write every page."""
    for place, page in PAGES.items():
        (ROOT / place).write_text(page())


if __name__ == "__main__":
    main()
