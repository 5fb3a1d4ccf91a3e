"""Text: what it may hold, when it shows something, its one form, and that the JSON schemas say the same."""

import re
import time
from typing import Annotated, Any
from unicodedata import category, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core.text import Line, LongText, NoNul

NAME: Any = TypeAdapter(Annotated[str, Line(50)])
BODY: Any = TypeAdapter(Annotated[str, LongText(50)])

BLANKS = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())
"""What Python calls blank."""

INVISIBLE = [
    "\u200b",  # zero-width space
    "\u00ad",  # soft hyphen
    "\u3164",  # Hangul filler
    "\uffa0",  # the same, half as wide
    "\u2800",  # Braille pattern of no dot
    "\ufe0f",  # variation selector
    "\U000e0100",  # another
    "\U000e0041",  # tag
    "\u2060\ufeff",  # word joiner, byte order mark
    "\u200d\u200c",  # joiners
    "\u2066\u2069",  # isolates of direction
    "\u034f",
    "\u115f\u1160",
    "\u180e",
    "\u17b4",
    "\U0001d173",
    "\u0301",  # marks that stand on nothing
    "\u20dd",
    "\u0489",
    "\u064b",
    "\u3099",
    "\u0e34\u0941",
    " \u00a0\u0308\u200b\u3000",
]
CONTROLS = [chr(code) for code in range(0xA0) if category(chr(code)) == "Cc"]
TEXTS = st.text(
    st.sampled_from([*BLANKS, *"".join(INVISIBLE), *CONTROLS, *"\u202d\u202e\u0300\u1ea4xé"])
    | st.characters(codec="utf-8"),
    max_size=20,
)


def codes(adapter: Any, value: object) -> list[str]:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return [item["type"] for item in error.errors()]
    return []


def is_promised(adapter: Any, value: str) -> bool:
    """Whether the JSON schema's pattern matches. To JSON Schema, `$` is the end, and not also before a line break."""
    return bool(re.search(adapter.json_schema()["pattern"].removesuffix("$") + r"\Z", value))


@pytest.mark.parametrize(
    "value",
    [
        "x",
        " x ",
        "é",
        "日本",
        "\U0001f469\u200d\U0001f467",
        "🇩🇪",
        "\u200fשלום",
        "a\u0301",
        "\U0010ffff",
        "\u1160x",
        "…",
    ],
    ids=ascii,
)
def test_a_line_shows_something(value: str) -> None:
    assert NAME.validate_python(value) == normalize("NFC", value)


@pytest.mark.parametrize("value", [*INVISIBLE, *BLANKS], ids=ascii)
def test_what_shows_nothing_is_blank(value: str) -> None:
    assert codes(NAME, value) == ["blank"]
    assert codes(NAME, value + " " + value) == ["blank"]
    assert not is_promised(NAME, value)
    assert codes(BODY, value) in ([], ["control_character"])


@pytest.mark.parametrize("control", [*CONTROLS[1:], "\u2028", "\u2029", "\u202d", "\u202e"], ids=ascii)
def test_control_characters_are_refused_except_breaks_in_long_text(control: str) -> None:
    for value in (f"x{control}y", f"é{control}", f"{control}x"):
        assert codes(NAME, value) == ["control_character"]
        assert codes(BODY, value) == ([] if control in "\t\n\r\u2028\u2029" else ["control_character"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", "string_too_short"), ("x" * 51, "string_too_long"), ("x\0", "nul_character"), ("\ud83d", "string_unicode")],
)
def test_what_a_line_is_refused_for(value: str, expected: str) -> None:
    assert codes(NAME, value) == [expected]
    assert codes(BODY, value) == ([expected] if value else [])
    assert codes(TypeAdapter(Annotated[str, NoNul]), value) in ([], [expected])


@pytest.mark.parametrize(
    "value", ["Mu\u0308ller", "\u212bngstro\u0308m", "a\u0323\u0302", "\u1112\u1161\u11ab", "\u2126", "\ufb2c"]
)
def test_text_is_kept_in_nfc(value: str) -> None:
    for adapter in (NAME, BODY):
        assert adapter.validate_python(value) == normalize("NFC", value) != value


def test_the_length_is_measured_before_and_after() -> None:
    assert NAME.validate_python("\ufb2c" * 16) == "\u05e9\u05bc\u05c1" * 16
    assert codes(NAME, "\ufb2c" * 17) == ["string_too_long"], "51 characters in NFC"
    assert codes(NAME, "a\u0308" * 26) == ["string_too_long"], "52 characters as it is sent"
    assert codes(BODY, "\ufb2c" * 17) == ["string_too_long"]


def test_marks_in_a_row_are_bounded_because_their_order_costs() -> None:
    long = TypeAdapter(Annotated[str, LongText(10_000)])
    assert codes(long, ("a" + "\u0316\u0301" * 15) * 300) == []
    assert codes(long, "日本語" * 3000) == []
    started = time.process_time()
    for marks in ("\u0316\u0301", "\u0301\u0316", "\u0344", "\U0001d165\U0001d16d"):
        assert codes(long, "a" + marks * (9_999 // len(marks))) == ["too_many_marks"]
    assert time.process_time() - started < 0.05, "68 ms for each of them, if they are put in order"


@given(TEXTS)
def test_patterns_promise_what_is_checked(value: str) -> None:
    assert is_promised(BODY, value) == (codes(BODY, value) == [])
    assert bool(value) * is_promised(NAME, value) == (codes(NAME, value) == [])
    assert is_promised(TypeAdapter(Annotated[str, NoNul]), value) == ("\0" not in value)
