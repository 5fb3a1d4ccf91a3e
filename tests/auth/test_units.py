"""What needs no database: keys, tokens and passwords."""

import string
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.passwords import COMMON, MIN_LENGTH, one_time_password
from app.auth.scopes import KEY_SCOPES, KeyScope, KeyScopes, scopes_of_key
from app.auth.throttle import attempt_key
from app.auth.tokens import (
    API_KEY_LENGTH,
    is_api_key,
    issue_refresh_token,
    new_api_key,
    read_access_token,
    read_refresh_token,
)
from app.core.config import Settings
from app.core.ids import uuid7
from app.core.signing import KeyRing

RING = KeyRing(Settings(_env_file=None, jwt_secret="a secret for these tests only, 0123456789"))
ALPHABET = string.digits + string.ascii_letters


def test_keys_are_random_and_carry_a_checksum() -> None:
    keys = [new_api_key() for _ in range(500)]
    assert len(set(keys)) == 500
    assert all(is_api_key(key) and len(key) == API_KEY_LENGTH for key in keys)
    assert len(Counter("".join(key[4:40] for key in keys))) == 62


@given(st.integers(4, API_KEY_LENGTH - 1), st.sampled_from(ALPHABET))
def test_key_with_one_changed_character_is_invalid(at: int, character: str) -> None:
    key = new_api_key()
    assert is_api_key(key[:at] + character + key[at + 1 :]) is (key[at] == character)


@given(st.text(max_size=60))
def test_arbitrary_text_is_no_token(text: str) -> None:
    for candidate in (text, "tlr_" + text, "tlrr_" + text):
        assert not is_api_key(candidate)
        assert read_refresh_token(RING, candidate) is None
        assert read_access_token(RING, candidate) is None


@given(st.uuids(), st.integers(0, 2**32 - 1))
def test_refresh_token_has_session_and_generation(session_id: UUID, generation: int) -> None:
    token = issue_refresh_token(RING, session_id, generation)
    claims = read_refresh_token(RING, token)
    assert claims is not None
    assert (claims.session_id, claims.generation) == (session_id, generation)
    assert len(token) < 200


def test_refresh_token_is_deterministic() -> None:
    session_id = uuid7()
    tokens = {issue_refresh_token(RING, session_id, generation) for generation in (0, 0, 1)}
    assert len(tokens) == 2


@pytest.mark.parametrize("scope", [*KEY_SCOPES])
def test_write_implies_read_of_the_same_area(scope: KeyScope) -> None:
    area = scope.partition(":")[0]
    assert scopes_of_key([scope], None) == {scope, f"{area}:read"}
    assert scope.description


def test_scope_is_declared_once_in_form_before_start() -> None:
    scopes = KeyScopes()
    read = scopes.declare("labels:read", "See labels.")
    with pytest.raises(ValueError, match="the scope labels:read is declared twice"):
        scopes.declare("labels:read", "See labels.")
    with pytest.raises(ValueError, match="the scope labels:look must be"):
        scopes.declare("labels:look", "See labels.")
    scopes.freeze()
    with pytest.raises(RuntimeError, match="the scope labels:write is declared too late"):
        scopes.declare("labels:write", "Change labels.")
    assert list(scopes) == [read]


def test_one_time_passwords_are_long_random_and_readable() -> None:
    passwords = [one_time_password() for _ in range(500)]
    assert len(set(passwords)) == 500
    assert {len(password) for password in passwords} == {16}
    assert not set("".join(passwords)) & set("0O1lI")


def test_common_passwords_would_pass_the_other_rules() -> None:
    assert len(COMMON) > 100
    assert [password for password in COMMON if len(password) < MIN_LENGTH or password != password.casefold()] == []


def test_attempt_keys_contain_no_names() -> None:
    key = attempt_key("login", "ada", "192.0.2.1")
    assert key == attempt_key("login", "ada", "192.0.2.1")
    assert len({key, attempt_key("login", "ada", "192.0.2.2"), attempt_key("network", "ada", "192.0.2.1")}) == 3
    assert "ada" not in key
    assert attempt_key("login", "\ud800", "x")
