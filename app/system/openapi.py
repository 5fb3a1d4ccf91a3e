"""The OpenAPI document: FastAPI's, plus our problem responses, minus its default 422, which is never sent."""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from app.core.errors import (
    PROBLEM_MEDIA_TYPE,
    AppError,
    InternalError,
    Problem,
    ReadOnlyError,
    StatementTimeoutError,
    UnavailableError,
    problem_document,
)
from app.core.guards import Guard, guards_of
from app.core.http.routing import ApiRoute
from app.core.idempotency import keys
from app.core.idempotency.keys import HEADER, REPLAYED
from app.core.listing.pagination import EXAMPLE_CURSOR
from app.core.listing.params import IS_NULL
from app.core.listing.statement import OPERATORS
from app.core.preconditions.headers import IF_MATCH, IF_NONE_MATCH, MAX_HEADER_BYTES, PATTERN, PreconditionFailedError
from app.core.preconditions.responses import tag_reader

_JSON = "application/json"
_SCHEMAS = "#/components/schemas/"
_EXAMPLE_ID, _EXAMPLE_PATH = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11", "/api/v1/projects/"

# The header that every response of a status has.
_RETRY_AFTER = {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}
_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "201": ("Location", {"description": "The address of what was created.", "schema": {"type": "string"}}),
    "304": ("ETag", {"description": "The tag of the state that you have.", "schema": {"type": "string"}}),
    "401": ("WWW-Authenticate", {"description": "How to sign in (RFC 6750).", "schema": {"type": "string"}}),
    "412": ("ETag", {"description": "The current tag.", "schema": {"type": "string"}}),
    "429": ("Retry-After", _RETRY_AFTER),
    "503": ("Retry-After", _RETRY_AFTER),
}


_LINK = {
    "description": "The addresses of the `first`, `prev` and `next` page (RFC 8288). An address is absent if there is "
    "no such page, or no room for it.",
    "schema": {"type": "string"},
}

_ETAG = {"description": "The entity tag.", "required": True, "schema": {"type": "string"}}

_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Makes this request safe to repeat: its response is stored under this key, and the same request "
    "with the same key gets that response instead of being executed again. 1 to 255 characters of printable ASCII, in "
    "quotes, or bare without spaces, quotes, commas and semicolons. Use a new UUID for each new request.",
    # As an example of the parameter, /docs would fill it in, with the same key for every request.
    "schema": {"type": "string", "pattern": keys.PATTERN, "examples": ["01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a13"]},
}

_REPLAYED = {
    "description": f"`true` if this is the stored response to an earlier request with the same `{HEADER}`.",
    "schema": {"type": "string", "enum": ["true"]},
}

# The headers of every response.
_COMMON_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "Identifies this request in the service's log: the id that the client sent, if it can be "
        "logged, or a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    # Only if requests are limited.
    "RateLimit-Policy": {
        "description": "The policy that counted this request: `q` requests in `w` seconds. Absent if requests are not "
        "limited.",
        "schema": {"type": "string", "pattern": r'^"[a-z]+";q=[0-9]+;w=[0-9]+$'},
        "example": '"default";q=1200;w=60',
    },
    "RateLimit": {
        "description": "`r` requests are left; in `t` seconds the quota is full again. Absent if requests are not "
        "limited.",
        "schema": {"type": "string", "pattern": r'^"[a-z]+";r=[0-9]+;t=[0-9]+$'},
        "example": '"default";r=1193;t=41',
    },
}


def problems(*errors: type[AppError]) -> dict[str, dict[str, Any]]:
    """Return the responses of these errors: by status, one example for each code."""
    by_status: dict[int, dict[str, type[AppError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, {})[error.code] = error
    return {str(status): _problem_response(list(found.values())) for status, found in sorted(by_status.items())}


def _problem_response(errors: list[type[AppError]]) -> dict[str, Any]:
    return {
        "description": "; or ".join(dict.fromkeys(error.title for error in errors)),
        "content": {
            PROBLEM_MEDIA_TYPE: {
                # With `properties` beside `allOf`, TypeScript knows the codes of each response, and generators of other
                # languages keep to `Problem`: their types would be many, and Python's refuse a code that is new.
                "schema": {
                    "allOf": [{"$ref": "#/components/schemas/Problem"}],
                    "properties": {"code": {"type": "string", "enum": sorted({error.code for error in errors})}},
                },
                "examples": {
                    error.code: {
                        "value": problem_document(error, error.help, instance=_EXAMPLE_PATH, request_id=_EXAMPLE_ID)
                    }
                    for error in errors
                },
            }
        },
    }


def openapi_document(
    app: FastAPI, routes: Sequence[ApiRoute], tags: list[dict[str, Any]], security_schemes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the document of these routes in this order."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        license_info=app.license_info,
        servers=app.servers,
        routes=routes,
    )
    # FastAPI refuses addresses without a host here, which OpenAPI allows.
    document |= {"tags": tags, "externalDocs": app.openapi_external_docs}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = TypeAdapter(Problem).json_schema(ref_template=_SCHEMAS + "{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    for error in ("HTTPValidationError", "ValidationError"):
        schemas.pop(error, None)
    document = _named_by_title(document)
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = dict(security_schemes)
    for route in routes:
        if route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                _secure(operation, guards_of(route))
                _add_problems(operation, method, route)
                _add_headers(operation, method, route)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if "requestBody" in operation:
                _describe_body(operation["requestBody"], method, schemas)
            _finish(operation)
    for schema in schemas.values():
        _tidy(schema, schemas)
    document["components"]["headers"] = _COMMON_HEADERS
    document["components"]["responses"] = _shared_responses(document)
    return document


def _shared_responses(document: dict[str, Any]) -> dict[str, Any]:
    """Move the error responses of all operations, a few dozen different ones, into shared responses. Return those."""
    shared: dict[str, Any] = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status >= "3":
                    name = _response_name(status, response, shared)
                    shared[name] = response
                    operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _response_name(status: str, response: dict[str, Any], taken: Mapping[str, Any]) -> str:
    """Return a name for a response: from its problem codes if they are few, otherwise from its status."""
    codes = response.get("content", {}).get(PROBLEM_MEDIA_TYPE, {}).get("examples", ())
    words = "_".join(codes) if 0 < len(codes) <= 3 else HTTPStatus(int(status)).phrase
    name = re.sub(r"[^A-Za-z]", "", words.replace("_", " ").title())
    number = 1
    while taken.get(numbered := name if number == 1 else f"{name}{number}", response) != response:
        number += 1
    return numbered


def _secure(operation: dict[str, Any], guards: list[Guard]) -> None:
    """Add the accepted security schemes, and what the caller needs."""
    # Public operations get an empty list, so that they are public explicitly.
    operation["security"] = [dict(way) for guard in guards for way in guard.security]
    needs = " ".join(guard.needs for guard in guards if guard.needs)
    operation["description"] = "\n\n".join(filter(None, (operation.get("description"), needs)))


def _add_problems(operation: dict[str, Any], method: str, route: ApiRoute) -> None:
    # FastAPI's own, which is never sent: this service answers 400 instead.
    operation["responses"].pop("422", None)
    own = (*route.errors, PreconditionFailedError) if method == "GET" and tag_reader(route) else route.errors
    operation["responses"] |= problems(*own, InternalError, UnavailableError, ReadOnlyError, StatementTimeoutError)


def _add_headers(operation: dict[str, Any], method: str, route: ApiRoute) -> None:
    """Describe the idempotency key, the `ETag` of responses, and the request headers that depend on it."""
    if route.accepts_idempotency_key:
        operation.setdefault("parameters", []).append(deepcopy(_KEY))
    is_tagged = tag_reader(route) is not None
    if is_tagged:
        answer = operation["responses"][str(route.status_code or 200)]
        answer.setdefault("headers", {})["ETag"] = _ETAG
    if is_tagged and method == "GET":
        operation["responses"]["304"] = {"description": "Not modified"}
        otherwise = "the answer is 304, without a body"
    elif any(guard.is_conditional for guard in guards_of(route)):
        otherwise = "nothing is done and the answer is 412"
    else:
        return
    said = {
        IF_MATCH: "Entity tags, or `*`: if the current one is none of them, nothing is done and the answer is 412.",
        IF_NONE_MATCH: f"Entity tags, or `*`: if the current one is among them, {otherwise}.",
    }
    operation.setdefault("parameters", []).extend(
        {"name": name, "in": "header", "required": False, "description": description, "schema": dict(_TAGS)}
        for name, description in said.items()
    )


_TAGS = {
    "type": "string",
    "maxLength": MAX_HEADER_BYTES,
    "pattern": f"^(?:{PATTERN})$",
    "examples": ['"t1"', '"t1", W/"t2"', "*"],
}


def _named_by_title(document: dict[str, Any]) -> dict[str, Any]:
    """Name every schema by its title: pydantic names a page of tasks `Page_TaskRead_`, and so would generated
    clients.
    """
    schemas: dict[str, dict[str, Any]] = document["components"]["schemas"]
    titles = {name: schema.get("title", name) for name, schema in schemas.items()}
    document["components"]["schemas"] = {titles[name]: schema for name, schema in schemas.items()}
    text = json.dumps(document)
    for name, title in titles.items():
        text = text.replace(f'"{_SCHEMAS}{name}"', f'"{_SCHEMAS}{title}"')
    renamed: dict[str, Any] = json.loads(text)
    return renamed


def _describe_body(body: dict[str, Any], method: str, schemas: dict[str, Any]) -> None:
    """Describe a body as JSON with a named schema, and mention the other media types in its description only.

    Generators of clients make one function with one class from that. From several media types they make a function for
    each, or a union, or code that cannot be imported (docs/decisions/0028-generated-clients.md).
    """
    content: dict[str, dict[str, Any]] = body["content"]
    others = [media_type for media_type in content if media_type != _JSON]
    if method == "patch":
        others.append("application/merge-patch+json")
    if others:
        body["description"] = f"JSON. {' and '.join(f'`{other}`' for other in others)} is accepted as well."
    body["content"] = {_JSON: content[_JSON]}
    if (name := content[_JSON]["schema"].get("title")) is not None:
        schemas[name] = content[_JSON]["schema"]
        content[_JSON]["schema"] = {"$ref": _SCHEMAS + name}


def _tidy(schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    members = schema.get("properties", {})
    for member in members.values():
        # pydantic's title only repeats the name.
        member.pop("title", None)
    # pydantic sorts the members of examples by name; the schema's own order reads better.
    for example in schema.get("examples", ()):
        example.update({name: example.pop(name) for name in members if name in example})
    if "next_cursor" in members:
        item = schemas[members["items"]["items"]["$ref"].removeprefix(_SCHEMAS)]
        envelope = {"total": 2, "page": 1, "size": 1, "pages": 2, "next_cursor": EXAMPLE_CURSOR}
        schema["examples"] = [{"items": item["examples"], **envelope}]


_EXAMPLES: dict[str, Any] = {"uuid": _EXAMPLE_ID, "date": "2026-12-01", "date-time": "2026-11-22T09:00:00Z"}
"""Examples of parameters that declare none, by their format."""


def _give_example(schema: dict[str, Any]) -> None:
    """Give a parameter an example, unless it has one or its type says all."""
    kind = schema.get("items", schema)
    # Not as the parameter's own `example`: pages on which it can be tried would send that.
    if "examples" not in kind:
        if kind.get("format") in _EXAMPLES:
            kind["examples"] = [_EXAMPLES[kind["format"]]]
        elif kind.get("type") == "boolean" or "default" in kind:
            kind["examples"] = [kind.get("default", True)]


_ORDER = ("q", "", "sort", "size", "cursor", "page", "include_total")
"""The parameters of a list in the order in which people need them; the filters stand where the gap is."""


def _place(parameter: dict[str, Any]) -> tuple[int, int]:
    """Return where a parameter stands: the path's, the query's with bounds last, headers."""
    name, where = parameter["name"], ("path", "query", "header").index(parameter["in"])
    is_bound = where == 1 and name.endswith((*(f"_{operator}" for operator in OPERATORS), IS_NULL))
    return where, len(_ORDER) if is_bound else _ORDER.index(name if name in _ORDER else "")


def _finish_parameters(parameters: list[dict[str, Any]]) -> None:
    for parameter in parameters:
        name, schema = parameter["name"], parameter["schema"]
        # null stands for an omitted parameter and cannot be sent. The remaining type is one for which clients can be
        # generated.
        schema.update(*(kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}))
        for repeated in ("title", "description"):
            schema.pop(repeated, None)
        # An empty list cannot be sent in a query. Generated clients would send the default of `page`, which cannot be
        # combined with `cursor`.
        if schema.get("default") == [] or name == "page":
            schema.pop("default", None)
        if name == "cursor":
            # That is the start of a list.
            parameter["allowEmptyValue"] = True
        _give_example(schema)
    parameters.sort(key=_place)


def _finish(operation: dict[str, Any]) -> None:
    _finish_parameters(operation.get("parameters", []))
    responses: dict[str, Any] = operation["responses"]
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    for status, response in responses.items():
        headers = response.setdefault("headers", {})
        if status in _HEADERS:
            name, header = _HEADERS[status]
            headers[name] = {"required": True, **header}
        if "cursor" in names and status == "200":
            headers["Link"] = _LINK
        if HEADER in names and status.startswith("2"):
            headers[REPLAYED] = _REPLAYED
        if HEADER in names and status == "409":
            # Of the statuses with a key, only for this one does it help to wait.
            headers["Retry-After"] = _RETRY_AFTER
        headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in _COMMON_HEADERS})
    operation["responses"] = {
        status: {**response, "description": response.get("description") or HTTPStatus(int(status)).phrase}
        for status, response in sorted(responses.items())
    }
