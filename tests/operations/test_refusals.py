"""What is refused is not repeated: neither in the answer nor in the log.

Names are told, bounded, because an error has to say where it is: of members in a `pointer`, of parameters, and the path
as the problem's `instance`. Values are not.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database
from app.core.ids import uuid7
from app.main import create_app
from tests.auth.people import person
from tests.support.client import Api

PLANTED, SIGN = "q7zxw", "§"
"""In everything that is sent; the second is a character that no text of ours has."""

DIGITS = 7317_7317_73
VALUES: list[Any] = [
    SIGN + PLANTED,
    f" {PLANTED}@ {PLANTED}{SIGN}..org",
    f"{SIGN}{PLANTED}-01-01T00:00:00",
    PLANTED * 3_000,
    f"\0{PLANTED}\ud800",
    DIGITS,
    DIGITS / 7,
    [PLANTED, {"title": PLANTED}],
    {"title": PLANTED},
]
HEADERS = [
    {"Authorization": f"Bearer {PLANTED}.{PLANTED}.{PLANTED}"},
    {"X-API-Key": f"tlr_{PLANTED}"},
    {"If-Match": f'"{PLANTED}', "If-None-Match": f"W/{PLANTED}"},
    {"Idempotency-Key": f'"{PLANTED}'},
    {"Content-Type": f"application/{PLANTED}"},
    {
        "Content-Encoding": PLANTED,
        "X-Request-ID": f"{PLANTED} {PLANTED}",
        "X-Forwarded-For": PLANTED,
        "User-Agent": PLANTED,
        "Cookie": f"{PLANTED}={PLANTED}",
        "Accept": f"{PLANTED}/{PLANTED}",
        "Origin": f"https://{PLANTED}.example.org",
    },
]
BODIES = [
    f'{{"title": "{PLANTED}'.encode(),
    f'"{PLANTED}"'.encode(),
    f"{PLANTED}".encode(),
    f'["{PLANTED}"]'.encode(),
    f'{{"title": "{PLANTED}", "title": "{PLANTED}"}}'.encode(),
    f'{{"title": NaN, "name": "{PLANTED}"}}'.encode(),
    f'{{"title": "{PLANTED}\xff"}}'.encode("latin-1"),
    b'{"priority": ' + str(DIGITS).encode() * 1_000 + b"}",
]
JSON = {"Content-Type": "application/json"}


def found(text: str) -> list[str]:
    """What stands in a text that was sent."""
    return [planted for planted in (PLANTED, SIGN, r"\u00a7", str(DIGITS)[:6]) if planted in text]


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind references; of several kinds the first."""
    while True:
        if "$ref" in schema:
            target: Any = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        elif kinds := schema.get("anyOf", schema.get("oneOf")):
            schema = kinds[0]
        else:
            return schema


def changed(document: dict[str, Any], schema: dict[str, Any], example: Any) -> Iterator[Any]:
    """The example with one of the planted values in each of its places."""
    schema = resolved(document, schema)
    yield from VALUES
    if isinstance(example, list):
        for other in changed(document, schema["items"], example[0]):
            yield [other]
    elif isinstance(example, dict):
        for name, member in schema.get("properties", {}).items():
            for other in changed(document, member, example.get(name)):
                yield {**example, name: other}


def requests(document: dict[str, Any], ids: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and options of each request."""
    for path, operations in document["paths"].items():
        address = re.sub(r"{(\w+)}", lambda name: ids.get(name[1], str(uuid7())), path)
        for method, operation in operations.items():
            parameters = [resolved(document, parameter) for parameter in operation.get("parameters", ())]
            for parameter in parameters:
                if parameter["in"] == "query":
                    for value in VALUES[:3]:
                        named = {parameter["name"]: value.encode(errors="replace").decode()[:9_000]}
                        yield method, address, {"params": named}
            body = resolved(document, operation.get("requestBody", {})).get("content", {}).get("application/json")
            for headers in HEADERS:
                yield method, address, {"headers": {**JSON, **headers}, "content": b"{}" if body else b""}
            if body is None:
                continue
            for content in BODIES:
                yield method, address, {"content": content, "headers": JSON}
            schema = resolved(document, body["schema"])
            example = (schema.get("examples") or [{}])[0]
            for other in changed(document, schema, example):
                yield method, address, {"content": json.dumps(other).encode(), "headers": JSON}


async def test_no_refusal_repeats_a_value(settings: Settings, database: Database, log: io.StringIO) -> None:
    app = create_app(settings.model_copy(update={"login_failures_per_account": 10_000}))
    refused = Counter[int]()
    async with app.router.lifespan_context(app):
        root = await person(app, "root", is_superuser=True)
        async with Api(app) as anonymous, await anonymous.as_(root) as admin:
            project = (await admin.post("/projects/", json={"name": "x"})).json()["id"]
            task = (await admin.post(f"/projects/{project}/tasks/", json={"title": "x"})).json()["id"]
            ids = {"project_id": project, "task_id": task, "user_id": str(root.id), "username": "root", "code": "x"}
            for method, address, options in requests(app.openapi(), ids):
                if (method, address.rpartition("/")[2]) == ("post", "logout"):
                    continue
                answer = await admin.request(method.upper(), address, **options)
                if answer.status_code < 400:
                    # It did as it was asked: also what ends the session, or takes away the caller's rights.
                    await database.execute(text("UPDATE users SET is_superuser = true, is_active = true"))
                    continue
                refused[answer.status_code] += 1
                said = f"{answer.json()} {answer.headers}"
                assert not found(said), (method, address, options, said)
    assert set(refused) >= {400, 401, 404, 415}
    assert refused.total() > 500
    written = log.getvalue()
    assert written.count('"route":"/api/v1/projects/"') >= 20
    assert not found(written)
