"""JSON bodies are read strictly, and what they cost is bounded."""

import gc
import json
from contextlib import suppress
from time import thread_time
from typing import Any

import pytest

from app.core.errors import InvalidJsonError, InvalidRequestError
from app.core.json_body import MAX_MEMBERS, MAX_OBJECTS, read_json
from app.core.schemas import RequestModel
from tests.support.bad_requests import errors_in
from tests.support.samples import MARKER

DEEP = 900


@pytest.mark.parametrize("value", [{"a": [1, 2.5, True, None, "ä😀"], "b": {}}, [], "x", 0, None, {"": {"": ""}}])
def test_what_is_json_is_read_as_json_reads_it(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert read_json(text.encode()) == value


NO_JSON = {
    "cut short": b'{"name": "q7zx-planted-value"',
    "single quotes": b"{'name': 'q7zx-planted-value'}",
    "a comma too many": b'{"name": "q7zx-planted-value",}',
    "not UTF-8": b'{"name": "q7zx-planted-value\xff"}',
    "7 000 arrays that never end": b"[" * 7_000,
    "an integer of 5000 digits": b'{"name": ' + b"1" * 5000 + b"}",
    "NaN": b'{"name": NaN}',
    "minus infinity": b'{"name": [-Infinity]}',
    "UTF-16": '{"name": "q7zx-planted-value"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"name": "q7zx-planted-value"}'.encode("utf-16-le"),
    "UTF-32": '{"name": "q7zx-planted-value"}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "q7zx-planted-value"}',
    "half a surrogate pair in UTF-8": b'{"name": "q7zx-planted-value\xed\xa0\x80"}',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_invalid_json_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(InvalidJsonError) as refusal:
        read_json(body)
    assert MARKER not in refusal.value.detail
    assert refusal.value.errors == []


NO_OBJECTS = {
    "null": b"null",
    "an array": b'["q7zx-planted-value"]',
    "a string": b'"q7zx-planted-value"',
    "a number": b"1",
    "true": b"true",
}


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_json_that_is_no_object_is_refused_as_a_whole(body: bytes) -> None:
    assert errors_in(RequestModel, body) == [("", "object_required")]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ('{"a": 1, "a": 2}', ["/a"]),
        ('{"a": 1, "\\u0061": 1}', ["/a"]),
        ('{"a": {"b": 1, "b": 2}, "a": 3}', ["/a"]),
        ('{"a": [{"b": 1}, {"b": 1, "b": 1, "c": [], "c": []}]}', ["/a/1/b", "/a/1/c"]),
        ('[{"x/y": 1, "x/y": 1}, {"~": 1, "~": 1}]', ["/0/x~1y", "/1/~0"]),
        ('{"' + "x" * 500 + '": 1, "' + "x" * 500 + '": 1}', ["/" + "x" * 100]),
        ("[" * DEEP + '{"a": 1, "a": 1}' + "]" * DEEP, ["/0" * DEEP + "/a"]),
    ],
)
def test_a_name_that_is_repeated_in_its_object_is_named(body: str, pointers: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        read_json(body.encode())
    assert [error["pointer"] for error in refusal.value.errors] == pointers
    assert {error["code"] for error in refusal.value.errors} == {"repeated"}


def test_an_object_may_have_so_many_members_and_no_more() -> None:
    members: dict[str, Any] = {f"m{number}": 0 for number in range(MAX_MEMBERS)}
    assert read_json(json.dumps(members).encode()) == members
    with pytest.raises(InvalidRequestError) as refusal:
        read_json(json.dumps({"a": [members | {"one": "more"}]}).encode())
    assert [(error["pointer"], error["code"]) for error in refusal.value.errors] == [("/a/0", "too_many_members")]


def test_a_body_may_have_so_many_objects_and_no_more() -> None:
    assert len(read_json(b"[" + b"{}," * (MAX_OBJECTS - 1) + b"{}]")) == MAX_OBJECTS
    assert read_json(json.dumps({"text": "{" * 2 * MAX_OBJECTS}).encode()), "text may have as many braces as it likes"
    with pytest.raises(InvalidRequestError, match="more than 10000 objects"):
        read_json(b"[" + b"{}," * MAX_OBJECTS + b"{}]")


def test_a_body_that_nests_too_deeply_is_refused() -> None:
    # So deep that no Python reads it: 3.11 gives up after a thousand arrays, 3.13 after ten thousand.
    with pytest.raises(InvalidJsonError, match="nested too deeply"):
        read_json(b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * DEEP + b'{"b":1,"b":1}' + b"}" * DEEP,
        b"[" * DEEP + b"[]," * 300_000 + b'{"a":1,"a":1}' + b"]" * DEEP,
        b"[" + b'{"a":1,"a":1},' * (MAX_OBJECTS - 1) + b"{}]",
        b"{" + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}",
        b"[" + b"9" * 4_000 + (b"," + b"9" * 4_000) * 240 + b"]",
        b"[" + b"1," * 490_000 + b"1]",
        b'"' + b"\\u0041" * 160_000 + b'"',
        b"[" * 1_000_000,
        b"{" * 1_000_000,
    ],
    ids=lambda body: f"{body[:12].decode()}…",
)
def test_any_megabyte_is_parsed_or_refused_quickly(body: bytes) -> None:
    # As a server does at its start: what other tests have left in memory is not looked through meanwhile.
    gc.freeze()
    began = thread_time()
    with suppress(InvalidJsonError, InvalidRequestError):
        read_json(body)
    assert thread_time() - began < 0.5
