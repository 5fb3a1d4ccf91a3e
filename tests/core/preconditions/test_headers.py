"""Preconditions: how they are written, and what they make of an answer."""

import re
from typing import Any

import pytest
from fastapi import Request, Response
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidRequestError
from app.core.preconditions.headers import (
    MAX_HEADER_BYTES,
    PATTERN,
    UNCONDITIONAL,
    Condition,
    PreconditionFailedError,
    Preconditions,
    preconditions_of,
)
from app.core.preconditions.responses import apply_preconditions, tag_of_bytes
from app.core.request_state import RequestState
from app.projects.errors import PreconditionRequiredError
from app.projects.scopes import unmet

ANY = Condition("any")
HEADERS = {"If-Match": b"if-match", "If-None-Match": b"if-none-match"}


def request(*headers: tuple[bytes, bytes], method: str = "GET") -> Request:
    scope = {"type": "http", "method": method, "headers": list(headers)}
    RequestState("r-1").put_into(scope)
    return Request(scope)


def tags(*found: str) -> Condition:
    return Condition("tags", found)


GOOD = [
    (b"*", ANY),
    (b" * ", ANY),
    (b'"t1"', tags('"t1"')),
    (b'W/"t1"', tags('W/"t1"')),
    (b'""', tags('""')),
    (b'"t1","t2"', tags('"t1"', '"t2"')),
    (b'"t1" ,\t"t2", W/"t3"', tags('"t1"', '"t2"', 'W/"t3"')),
    (b'"t1",, ,"t2",', tags('"t1"', '"t2"')),
    (b',"t1"', tags('"t1"')),
    (b'"a,b"', tags('"a,b"')),
    (b'"*"', tags('"*"')),
    (b'"a\\"', tags('"a\\"')),
    (b'"caf\xe9"', tags('"caf\xe9"')),
    (b'"W/"', tags('"W/"')),
]
BAD = [
    b"",
    b" ",
    b",",
    b", ,",
    b"t1",
    b'"t1',
    b't1"',
    b"'t1'",
    b'w/"t1"',
    b'W/ "t1"',
    b"W/t1",
    b'"t1" "t2"',
    b'"t1";"t2"',
    b'"t1", t2',
    b'*, "t1"',
    b'"t1", *',
    b"**",
    b'"a b"',
    b'"a"b"',
    b'"\x00"',
    b'"\x7f"',
    b'"t1"\n',
]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(("value", "found"), GOOD, ids=ascii)
def test_a_list_of_tags_is_read(name: str, value: bytes, found: Condition) -> None:
    wanted = Preconditions(**{HEADERS[name].decode().removeprefix("if-").replace("-", "_"): found})
    assert preconditions_of(request((b"accept", b"*/*"), (HEADERS[name], value))) == wanted


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", BAD, ids=ascii)
def test_malformed_tags_are_refused_with_the_header_name(name: str, value: bytes) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        preconditions_of(request((HEADERS[name], value)))
    assert [(error["parameter"], error["code"]) for error in refused.value.errors] == [(name, "entity_tags")]


def test_several_lines_are_one_list() -> None:
    lines = [(b"if-match", b'"t1"'), (b"accept", b"*/*"), (b"if-match", b'W/"t2", "t3"')]
    assert preconditions_of(request(*lines)).match == tags('"t1"', 'W/"t2"', '"t3"')


def test_star_beside_tags_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        preconditions_of(request((b"if-match", b'"t1"'), (b"if-match", b"*")))


def test_no_header_is_no_precondition() -> None:
    assert preconditions_of(request((b"accept", b"*/*"), (b"if-range", b'"t1"'))) is UNCONDITIONAL


INNER = st.text(st.characters(codec="latin-1", min_codepoint=0x21, exclude_characters='"\x7f'), max_size=10)
TAGS = st.builds(lambda weak, inner: f'{weak}"{inner}"', st.sampled_from(["", "W/"]), INNER)
SPACES = st.text(" \t", max_size=3)


@given(st.lists(TAGS, min_size=1, max_size=8), st.data())
def test_any_valid_list_of_tags_is_parsed(found: list[str], data: st.DataObject) -> None:
    between = st.builds(
        lambda before, commas, after: before + commas + after, SPACES, st.sampled_from([",", ",,"]), SPACES
    )
    text = found[0]
    for tag in found[1:]:
        text += data.draw(between) + tag
    assert preconditions_of(request((b"if-match", text.encode("latin-1")))).match.tags == tuple(found)


@given(st.text(st.sampled_from('"W/*, t1\t') | st.characters(codec="latin-1"), max_size=12))
def test_the_documented_pattern_promises_what_is_accepted(value: str) -> None:
    try:
        preconditions_of(request((b"if-match", value.encode("latin-1"))))
    except InvalidRequestError:
        accepted = False
    else:
        accepted = True
    assert bool(re.search(rf"\A(?:{PATTERN})\Z", value)) == accepted


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_may_have_so_many_bytes_and_no_more(name: str) -> None:
    tags_of_header = b'"' + b"x" * (MAX_HEADER_BYTES - 2) + b'"'
    preconditions_of(request((HEADERS[name], tags_of_header)))
    with pytest.raises(InvalidRequestError) as refused:
        preconditions_of(request((HEADERS[name], tags_of_header), (HEADERS[name], b'"x"')))
    assert [(error["parameter"], error["code"]) for error in refused.value.errors] == [(name, "too_long")]


@pytest.mark.timeout(5)
@pytest.mark.parametrize("part", [b" ", b",", b", ", b'"t1" ', b'"t1",', b'"', b'W/"t1"  ,  ', b"W/"], ids=ascii)
def test_longest_header_is_parsed_quickly(part: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        preconditions_of(request((b"if-match", part * (65_536 // len(part)) + b"x")))


@pytest.mark.parametrize(
    ("wanted", "current", "refusal"),
    [
        (Preconditions(tags('"t1"')), '"t1"', PreconditionFailedError),
        (Preconditions(tags('"t1"')), '"t2"', PreconditionFailedError),
        (Preconditions(none_match=ANY), '"t1"', PreconditionFailedError),
        (Preconditions(none_match=tags('"t1"')), '"t1"', PreconditionFailedError),
        (Preconditions(ANY), '"t1"', None),
        (UNCONDITIONAL, '"t1"', None),
    ],
)
def test_a_write_that_found_nothing_learns_why(
    wanted: Preconditions, current: str, refusal: type[PreconditionFailedError] | None
) -> None:
    error = unmet(wanted, current, is_required=False)
    assert type(error) is (refusal or type(None))
    if error is not None:
        assert error.headers == {"ETag": current}


def test_only_if_match_is_what_can_be_required() -> None:
    for blind in (UNCONDITIONAL, Preconditions(none_match=tags('"t2"')), Preconditions(none_match=ANY)):
        assert type(unmet(blind, '"t1"', is_required=True)) is PreconditionRequiredError
    assert type(unmet(Preconditions(tags('"t2"')), '"t1"', is_required=True)) is PreconditionFailedError


def test_weak_tags_take_part_in_weak_comparison_only() -> None:
    wanted = tags('W/"t1"', '"t2"')
    assert (wanted.strong, wanted.opaque) == (['"t2"'], ['"t1"', '"t2"'])


READS: list[tuple[dict[str, str], int | type[Exception]]] = [
    ({}, 200),
    ({"if-none-match": '"t1"'}, 304),
    ({"if-none-match": 'W/"t1"'}, 304),
    ({"if-none-match": '"t0", "t1"'}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": '"t2"'}, 200),
    ({"if-none-match": '"T1"'}, 200),
    ({"if-match": '"t1"'}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": '"t2"'}, PreconditionFailedError),
    ({"if-match": 'W/"t1"'}, PreconditionFailedError),
    # RFC 9110, 13.2.2: If-Match is looked at first.
    ({"if-match": '"t2"', "if-none-match": '"t1"'}, PreconditionFailedError),
    ({"if-match": '"t1"', "if-none-match": '"t1"'}, 304),
    ({"if-none-match": "t1"}, InvalidRequestError),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("headers", "expected"), READS, ids=str)
def test_a_read_is_answered_as_its_headers_want(
    method: str, headers: dict[str, str], expected: int | type[Exception]
) -> None:
    conditional = request(*((name.encode(), value.encode()) for name, value in headers.items()), method=method)
    whole = Response(b"{}", media_type="application/json")
    if not isinstance(expected, int):
        with pytest.raises(expected):
            apply_preconditions(conditional, whole, '"t1"')
        return
    answer = apply_preconditions(conditional, whole, '"t1"')
    assert (answer.status_code, answer.body) == (expected, b"" if expected == 304 else b"{}")
    assert answer.headers["etag"] == '"t1"'
    assert answer.headers["cache-control"] == "private, no-cache"
    assert ("content-type" in answer.headers) == ("content-length" in answer.headers) == (expected == 200)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("headers", [headers for headers, _ in READS], ids=str)
def test_write_is_never_answered_304_afterwards(method: str, headers: dict[str, str]) -> None:
    conditional = request(*((name.encode(), value.encode()) for name, value in headers.items()), method=method)
    answer = apply_preconditions(conditional, Response(b"{}", 201), '"t1"')
    assert (answer.status_code, answer.body, answer.headers["etag"]) == (201, b"{}", '"t1"')


def test_the_tag_of_bytes_is_that_of_no_others() -> None:
    made: list[Any] = [tag_of_bytes(body) for body in (b"", b"{}", b'{"items":[]}', b'{"items":[1]}')]
    assert len(set(made)) == len(made)
    assert made == [tag_of_bytes(body) for body in (b"", b"{}", b'{"items":[]}', b'{"items":[1]}')]
    assert all(re.fullmatch(r'"[0-9a-f]{40}"', tag) for tag in made)
