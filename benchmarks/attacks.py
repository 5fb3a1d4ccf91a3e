"""Requests that want to cost much, made from an OpenAPI document: every bound that it states reached and passed.

Each has a salt, so that no two are the same and no cache helps.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.data import project_id, task_id

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BODY = 1_000_000
"""Bytes of the largest bodies: nearly as many as the service reads."""

HEAD = 60_000
"""Bytes of the longest headers and addresses: servers read no more than 64 KB."""

COMBINING = "\u0316\u0301"
"""Two marks that stand in the wrong order, as normalising has to put right."""

WIDE = "\ufb2c"
"""One character that is three once it is normalised."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attack:
    """One request."""

    kind: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_plain: bool = False
    """Whether it is merely the largest ordinary request: what others of the operation may cost as well."""


@dataclass(slots=True)
class Target:
    """An operation of the document, and how it is asked in the ordinary way."""

    document: Schema
    method: str
    path: str
    operation: Schema
    salt: str
    body: Any = None
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in what the document gives as an example."""
        self.values = {parameter["name"]: self._value(parameter) for parameter in self.parameters("path")}
        contents = self.contents
        if contents:
            schema = self.resolved(next(iter(contents.values()))["schema"])
            self.body = (schema.get("examples") or [self.example(schema)])[0]

    @property
    def name(self) -> str:
        """The operation's name."""
        return str(self.operation["operationId"])

    @property
    def contents(self) -> Mapping[str, Any]:
        """What its body may be, by media type."""
        contents: Mapping[str, Any] = self.resolved(self.operation.get("requestBody", {})).get("content", {})
        return contents

    def resolved(self, schema: Schema) -> Schema:
        """Return what a reference refers to; of several kinds the first that is not null."""
        while True:
            if "$ref" in schema:
                found: Any = self.document
                for part in schema["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
                schema = found
            elif kinds := (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
                schema = next(kind for kind in kinds if kind.get("type") != "null")
            else:
                return schema

    def parameters(self, place: str) -> Iterator[Schema]:
        """Its parameters in the path, the query or the headers."""
        for parameter in self.operation.get("parameters", ()):
            if (known := self.resolved(parameter))["in"] == place:
                yield known

    def example(self, schema: Schema) -> Any:
        """Return some value of a schema."""
        schema = self.resolved(schema)
        if "examples" in schema:
            return schema["examples"][0]
        if schema.get("format") == "uuid":
            return task_id(1, 5)
        if "enum" in schema:
            return schema["enum"][0]
        members = schema.get("properties", {})
        simple: dict[str | None, Any] = {
            "object": {name: self.example(members[name]) for name in schema.get("required", ())},
            "array": [self.example(schema["items"])] if "items" in schema else [],
            "integer": schema.get("minimum", 1),
            "boolean": True,
        }
        return simple.get(schema.get("type"), schema.get("const", "x" * schema.get("minLength", 1)))

    def _value(self, parameter: Schema) -> str:
        # What is deleted is nothing that the others ask for.
        number = 2 if self.method == "delete" else 1
        known = {"project_id": project_id(number), "task_id": task_id(number, 5)}
        return known.get(parameter["name"]) or str(self.example(parameter["schema"]))

    def attack(
        self,
        kind: str,
        *,
        query: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        body: Any = None,
        media_type: str = JSON,
        values: Mapping[str, str] | None = None,
        is_plain: bool = False,
    ) -> Attack:
        """Return a request of the ordinary kind, but for what is given."""
        target = self.path
        for name, value in {**self.values, **(values or {})}.items():
            target = target.replace(f"{{{name}}}", quote(value, safe=""))
        content = body if isinstance(body, bytes) else written(self.body if body is None else body)
        if not self.contents:
            content = b""
        elif not any(name.lower() == "content-type" for name, _ in headers):
            headers = (*headers, ("Content-Type", media_type))
        return Attack(
            kind, self.method.upper(), target + ("?" + query if query else ""), headers, content, is_plain=is_plain
        )


def written(value: Any) -> bytes:
    """JSON as short as it gets."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def targets(document: Schema, salt: str) -> Iterator[Target]:
    """All operations of a document, and what it does not list: the document, its page, and what is not there."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield Target(document, method, path, operation, salt)
    for path in ("/openapi.json", "/docs", "/nowhere"):
        yield Target(document, "get", path, {"operationId": path}, salt)


def attacks(target: Target) -> Iterator[Attack]:
    """Everything that is tried on an operation."""
    yield target.attack("as it is documented", is_plain=True)
    yield from _through_headers(target)
    yield from _through_the_query(target)
    yield from _through_the_path(target)
    if target.contents:
        yield from _through_the_body(target)


def tokens(salt: str) -> Iterator[tuple[str, str]]:
    """Yield what somebody who has no token may send instead, and what that is."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    key = f"tlr_{salt:0>36}"
    # As app/auth/tokens.py makes them, so that it takes a look at the database to refuse it.
    number, digits = zlib.crc32(key.encode()), ""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = alphabet[digit] + digits
    yield "an API key that is none", key + digits
    header = encoded(b'{"alg":"HS256","kid":"' + salt.encode() + b'"}')
    yield "a token of another secret", f"{header}.e30.{'A' * 43}"
    yield "a token of 60 KB", encoded(b'{"alg":"HS256","x":[' + b"1," * (HEAD // 3) + salt.encode() + b"]}") + ".e30.AA"
    yield "a token that nests", encoded(b"[" * (HEAD * 2 // 3)) + ".e30.AA"


def _through_headers(target: Target) -> Iterator[Attack]:
    salt = target.salt
    yield target.attack("many headers", headers=tuple((f"X-{salt}-{number}", "x" * 20) for number in range(900)))
    yield target.attack("many cookies", headers=(("Cookie", "; ".join(f"{salt}{n}=v" for n in range(HEAD // 12))),))
    yield target.attack("cookie headers", headers=tuple(("Cookie", f"{salt}{n}=v") for n in range(900)))
    for name in ("User-Agent", "X-Forwarded-For", "Accept-Encoding", "Content-Encoding", "X-Request-ID", "Origin"):
        yield target.attack(f"a long {name}", headers=((name, f"{salt}, " + "1.2.3.4, " * (HEAD // 9)),))
    if target.contents:
        yield target.attack("a long Content-Type", headers=(("Content-Type", "application/json;" + "a=b;" * 15_000),))
    for name in ("If-Match", "If-None-Match"):
        for kind, value in (
            ("any", "*"),
            ("4 KB of tags", f'"{salt}",' + '"x",' * 1_000),
            ("4 KB of commas", f'"{salt}"' + ", " * 2_000),
            ("a tag of 4 KB", f'W/"{salt}{"!" * 4_000}"'),
            ("60 KB of tags", f'"{salt}",' + '"x",' * (HEAD // 4)),
            ("an open tag", f'"{salt}"' + ' , "' * 1_000),
        ):
            yield target.attack(f"{name}: {kind}", headers=((name, value),))
        yield target.attack(f"{name} 900 times", headers=((name, f'"{salt}"'),) * 900)
    for kind, value in (
        ("of 255 characters", f"{salt:x<255}"),
        ("with escapes", '"' + r"\\" * 255 + '"'),
        ("of 60 KB", salt + "k" * HEAD),
    ):
        yield target.attack(f"a key {kind}", headers=(("Idempotency-Key", value),))
    yield target.attack("900 keys", headers=(("Idempotency-Key", salt),) * 900)


def _through_the_query(target: Target) -> Iterator[Attack]:
    salt = target.salt
    yield target.attack("5 000 unknown parameters", query="&".join(f"{salt}{n}=" for n in range(5_000)))
    yield target.attack("199 unknown parameters", query="&".join(f"{salt}{n}=" for n in range(199)))
    yield target.attack("30 000 ampersands", query="&" * 30_000)
    yield target.attack("a name of 60 KB", query="%F0%9F%98%80" * (HEAD // 12) + salt)
    full: dict[str, str] = {}
    for parameter in target.parameters("query"):
        name = parameter["name"]
        schema = target.resolved(parameter["schema"])
        if schema.get("type") == "array":
            items = [task_id(1, number) for number in range(schema.get("maxItems", 100))]
            yield target.attack(f"all {name}", query=urlencode([(name, item) for item in items]))
            continue
        for kind, value in _texts(schema, salt):
            if len(value) < HEAD:
                yield target.attack(f"{name}: {kind}", query=urlencode({name: value}))
        yield target.attack(f"{name} 199 times", query="&".join([f"{name}={salt}"] * 199))
        if schema.get("type") == "string" and "format" not in schema and "pattern" not in schema:
            full[name] = _filled("ab ", schema.get("maxLength", 100))
        if "maximum" in schema:
            yield target.attack(f"largest {name}", query=f"{name}={schema['maximum']}", is_plain=name == "size")
        if examples := [value for value in schema.get("examples", ()) if isinstance(value, str)]:
            yield target.attack(f"{name}: as in its example", query=urlencode({name: examples[0]}), is_plain=True)
    if full:
        yield target.attack("long words everywhere", query=urlencode({**full, "size": 100}))
        words = " ".join(f"{a}{b}" for a in "aoteip" for b in "aeiou")
        yield target.attack("many short words", query=urlencode({"q": words[:200], "size": 100}))


def _through_the_path(target: Target) -> Iterator[Attack]:
    salt = target.salt
    yield replace(target.attack("60 KB of segments"), target=target.path.partition("{")[0] + f"{salt}/" * (HEAD // 10))
    yield replace(target.attack("60 KB of slashes"), target="/" + "/" * HEAD)
    for name in target.values:
        for kind, value in (
            ("10 KB of combining characters", salt + COMBINING * 1_600),
            ("50 KB", salt + "x" * 50_000),
            ("of nobody", task_id(9_999, int(salt, 16) % 1_000)),
        ):
            yield target.attack(f"{name}: {kind}", values={name: value})


def _through_the_body(target: Target) -> Iterator[Attack]:
    salt, body = target.salt, target.body
    for size, kind in ((BODY, "1 MB"), (126_000, "126 KB"), (16_000, "16 KB")):
        members = {f"{salt}{number}": 0 for number in range(size // 16)}
        yield target.attack(f"{kind} of unknown members", body=written({**body, **members}))
        yield target.attack(f"{kind} of one repeated member", body=_repeated(body, f'"{salt}":0', size))
        first = next(iter(body))
        yield target.attack(f"{kind} of `{first}` again and again", body=_repeated(body, f'"{first}":0', size))
        yield target.attack(f"{kind} of brackets", body=b"[" * size)
        yield target.attack(f"{kind} of closed brackets", body=b"[" * (size // 2) + b"]" * (size // 2))
        yield target.attack(f"{kind} of empty objects", body=b"[" + b"{}," * (size // 3) + b"{}]")
        yield target.attack(f"{kind} of nested objects", body=b'{"a":' * (size // 5) + b"1" + b"}" * (size // 5))
        yield target.attack(f"{kind} of blanks", body=written(body) + b" " * (size - 2_000))
        yield target.attack(
            f"{kind} of escapes", body=written({**body, salt: ""})[:-2] + rb"\u0316" * (size // 6) + b'"}'
        )
        yield target.attack(f"{kind} of no UTF-8", body=b'{"a":"' + b"\xff" * size + b'"}')
        yield target.attack(f"{kind} of something else", body=b"x" * size, media_type="text/plain")
    yield target.attack("99 unknown members", body={**body, **{f"{salt}{number}": 0 for number in range(90)}})
    yield target.attack("a number of 4 000 digits", body=_repeated(body, f'"{salt}":' + "7" * 4_000, 4_000))
    yield target.attack("a number of 1 MB", body=_repeated(body, f'"{salt}":' + "7" * BODY, 1))
    yield target.attack("an exponent", body=_repeated(body, f'"{salt}":1e999999999', 1))
    schema = target.resolved(target.contents[JSON]["schema"])
    for path, kind, value in _values(target, schema, body, salt):
        changed = _changed(body, path, value)
        if len(content := written(changed)) <= BODY:
            is_plain = kind.endswith(("items at the limit", "words at its limit"))
            yield target.attack(f"{'.'.join(map(str, path))}: {kind}", body=content, is_plain=is_plain)
    if FORM in target.contents:
        yield target.attack("a form of 16 KB", body=b"a=&" * 5_300, media_type=FORM)
        yield target.attack("a form of ampersands", body=b"&" * 16_000, media_type=FORM)
        yield target.attack("a form of percents", body=b"username=" + b"%CC%96" * 2_600, media_type=FORM)
        yield target.attack("no multipart", body=b"--x\r\n" * 3_000, media_type="multipart/form-data; boundary=x")


def _texts(schema: Schema, salt: str) -> Iterator[tuple[str, str]]:
    """Texts that want to cost much where this schema stands."""
    limit = min(schema.get("maxLength", 100), 10_000)
    yield "words at its limit", _filled(f"what {salt} has to be done, ", limit)
    yield "one word", (salt + "x" * limit)[:limit]
    yield "combining characters", (salt + COMBINING * limit)[:limit]
    yield "characters that are three in NFC", (WIDE * limit)[:limit]
    yield "characters of four bytes", ("\U0001f600" * limit)[:limit]
    yield "4 KB of combining characters", salt + COMBINING * 1_000
    yield "4 000 digits", "7" * 4_000
    yield "15 KB", salt + "x" * 15_000
    yield "a long date", "2026-01-01T00:00:00." + "0" * 4_000 + "Z"
    yield "dots", "." * limit
    yield "at signs", ("@" * limit)
    yield "commas", "," * min(limit, 4_000)


def _values(
    target: Target, schema: Schema, example: Any, salt: str, path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], str, Any]]:
    """Other values for what is in a body: where, of what kind, and which."""
    schema = target.resolved(schema)
    if isinstance(example, dict):
        for name, member in schema.get("properties", {}).items():
            value = example[name] if name in example else target.example(member)
            yield from _values(target, member, value, salt, (*path, name))
        return
    if isinstance(example, list) or schema.get("type") == "array":
        item = (example or [target.example(schema["items"])])[0]
        limit = schema.get("maxItems", 1_000)
        yield path, "items at the limit", [item] * limit
        yield path, "items over the limit", [item] * (limit + 1)
        yield path, "20 000 numbers", [0] * 20_000
        yield path, "empty objects at the limit", [{}] * limit
        yield path, "objects with unknown members", [{f"{salt}{n}": 0 for n in range(90)}] * limit
        yield path, "different texts", [f"{salt}{number}" for number in range(limit)]
        for inner, kind, value in _values(target, schema["items"], item, salt):
            changed = _changed(item, inner, value)
            times = min(limit, (BODY - 2_000) // (len(written(changed)) + 1))
            yield path, f"{times} × {'.'.join(map(str, inner))}: {kind}", [changed] * times
        return
    for kind, value in _texts(schema, salt):
        yield path, kind, value
    yield path, "an object", {f"{salt}{number}": 0 for number in range(90)}
    yield path, "a list", [salt] * 1_000
    yield path, "a large number", int("7" * 300)


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return the value, with another one at that place."""
    if not path:
        return new
    first, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else {}
    inner = copy[first] if isinstance(copy, list) or first in copy else {}
    copy[first] = _changed(inner, tuple(rest), new)
    return copy


def _repeated(body: Any, member: str, size: int) -> bytes:
    """Return the body, with a member written again and again."""
    times = max(1, size // (len(member) + 1))
    return written(body)[:-1] + b"," + ",".join([member] * times).encode() + b"}"


def _filled(text: str, length: int) -> str:
    return (text * (length // len(text) + 1))[:length].strip()
