"""Where the document and Schemathesis misunderstand each other, this translates."""

import os
import re
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import jwt
import schemathesis
from schemathesis.generation.meta import TestPhase

TOKEN = os.environ.get("TALLER_TOKEN")
SESSION = jwt.decode(TOKEN, options={"verify_signature": False})["sid"] if TOKEN else None
PROJECT = os.environ.get("TALLER_PROJECT")
TASKS = os.environ.get("TALLER_TASKS", "").split()
_turn = count()
_patterns: dict[str, str] = {}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Call the token what it is in a request. Of OAuth2 Schemathesis does not know where the token goes, and so would
    never try what happens without one.
    """
    raw_schema["components"]["securitySchemes"]["bearer"] = {"type": "http", "scheme": "bearer"}
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if "pattern" in parameter["schema"]:
                    _patterns[parameter["name"]] = parameter["schema"]["pattern"]


def _consistent(query: dict[str, Any]) -> dict[str, Any]:
    if "cursor" in query:
        # Any other has to come from an answer.
        query["cursor"] = ""
        query.pop("page", None)
    elif "size" in query or "page" in query:
        query.pop("include_total", None)
        if int(query.get("page", 1)) * int(query.get("size", 50)) > 10_000:
            query["page"] = 1
    else:
        query.pop("include_total", None)
    if isinstance(query.get("sort"), str):
        query["sort"] = query["sort"].partition(",")[0]
    if "relevance" in str(query.get("sort")):
        del query["sort"]
    bounded: set[str] = set()
    for name in list(query):
        plain = re.sub("_(gte|gt|lte|lt|is_null)$", "", name)
        if plain in bounded:
            del query[name]
        elif name != "project_id":
            bounded.add(plain)
    return query


def _without_made_up_ids(body: Any) -> Any:
    """Return the body without labels, assignees and a parent: ids that are made up name nothing of the project."""
    if isinstance(body, list):
        return [_without_made_up_ids(item) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {name: _without_made_up_ids(value) for name, value in body.items()}
    for name in ("label_ids", "assignee_ids"):
        if isinstance(kept.get(name), list):
            kept[name] = []
    if _is_id(kept.get("parent_id")):
        kept["parent_id"] = None
    return kept


def _is_id(value: Any) -> bool:
    try:
        return bool(UUID(value))
    except (ValueError, TypeError, AttributeError):
        return False


def _lead_there(case: schemathesis.Case[Any]) -> None:
    """Ask for what is there and shared with the caller, instead of ids that are made up; walks find ids themselves."""
    path: Any = case.path_parameters or {}
    if path.get("session_id") == SESSION:
        # It would end the session by which all the others are tried.
        path["session_id"] = str(uuid4())
    if PROJECT is None or case.meta is None or case.meta.phase.name is TestPhase.STATEFUL or case.method == "DELETE":
        return
    if _is_id(path.get("project_id")):
        path["project_id"] = PROJECT
    for name in ("task_id", "blocker_id"):
        if _is_id(path.get(name)):
            path[name] = TASKS[next(_turn) % len(TASKS)]


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Make every well-formed idempotency key a new one, as the same ones are made up again and again; and in requests
    that are meant to be valid, leave out parameters that contradict each other, which OpenAPI cannot say.
    """
    _lead_there(case)
    headers: Any = case.headers or {}
    if "TALLER_TOKEN" not in os.environ:
        # Otherwise it registers, signs in, and is no stranger any more.
        for name in ("Authorization", "X-API-Key"):
            headers.pop(name, None)
    elif "Authorization" in headers:
        # A request brings one credential, which OpenAPI cannot say.
        headers.pop("X-API-Key", None)
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(_patterns["Idempotency-Key"], key):
        headers["Idempotency-Key"] = str(uuid4())
    if case.meta is not None and case.meta.phase.name is TestPhase.COVERAGE and case.meta.generation.mode.is_positive:
        # In this phase it makes no value of a header's pattern, and then sends a 0 as if it were one.
        for name in ("If-Match", "If-None-Match"):
            if headers.get(name) == "0":
                del headers[name]
    if case.meta is not None and case.meta.generation.mode.is_positive:
        case.body = _without_made_up_ids(case.body)
    if case.query and case.meta is not None and case.meta.generation.mode.is_positive:
        case.query = _consistent(dict(case.query))
