"""What an operator is told about settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.cli.settings_report import Setting, problems_of, settings_as_they_stand, unknown_variables
from app.core.config import Settings

Declare = Callable[..., None]
PASSWORD = "q7zx-password"
SECRET = "Hq0zB5v7-wJx2eYk9nT_4uRm1cLd8fSg3aPo6iVtEbNhXyQz"


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Declare:
    """Set variables, in an environment and a directory with nothing else."""
    for name in [name for name in os.environ if name.startswith("TALLER_") and not name.startswith("TALLER_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def declare(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return declare


def problems() -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Settings()
    return list(problems_of(caught.value).values())


def found() -> dict[str, Setting]:
    return {setting.name: setting for setting in settings_as_they_stand()}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TALLER_PORT", "0", "must be a whole number from 1 to 65535."),
        ("TALLER_WORKERS", "many", "must be a whole number from 1 to 64."),
        ("TALLER_MAX_BODY_BYTES", "3", "must be a whole number from 1024 on."),
        ("TALLER_STATEMENT_TIMEOUT", "0", "must be a number above 0 and at most 600."),
        ("TALLER_REFRESH_GRACE", "-1", "must be a number from 0 to 60."),
        ("TALLER_PGBOUNCER", "perhaps", "must be true or false."),
        ("TALLER_LOG_FORMAT", "xml", "must be json or text."),
        ("TALLER_REGISTRATION", "half", "must be open or closed."),
        ("TALLER_RATE_LIMIT", "600", "must be requests/seconds, as in 1200/60, or off."),
        ("TALLER_SEARCH_DICTIONARY", "a b", "must be the name of a text search dictionary, as in english_stem."),
    ],
)
def test_a_refused_value_is_named_with_what_is_right(declare: Declare, name: str, value: str, said: str) -> None:
    declare(**{name: value})
    assert problems() == [f"{name} {said}"]


def test_every_setting_can_say_what_is_right(declare: Declare) -> None:
    values: dict[str, Any] = {field: object() for field in Settings.model_fields}
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, **values)
    for name, said in problems_of(caught.value).items():
        assert said.startswith(f"{name} must be "), said
        assert "None" not in said


def test_all_that_is_wrong_is_told_at_once(declare: Declare) -> None:
    declare(TALLER_ENV="production", TALLER_PORT="0", TALLER_JWT_SECRET="short", TALLER_JWT_PREVIOUS_SECRETS="shorter")
    assert [said.split()[0] for said in problems()] == [
        "TALLER_PORT",
        "TALLER_DATABASE_URL",
        "TALLER_JWT_SECRET",
        "TALLER_JWT_PREVIOUS_SECRETS",
    ]


def test_a_misspelt_setting_is_named_with_the_nearest(declare: Declare) -> None:
    declare(TALLER_DATABSE_URL="x", taller_color="red", TALLER_PORT="8001", TALLER_EMPTY="")
    Path(".env").write_text("TALLER_RATE_LIMITS=off\nOTHER=1\n")
    assert unknown_variables() == {
        "TALLER_DATABSE_URL": "TALLER_DATABSE_URL is not a setting: did you mean TALLER_DATABASE_URL?",
        "TALLER_COLOR": "TALLER_COLOR is not a setting.",
        "TALLER_RATE_LIMITS": "TALLER_RATE_LIMITS is not a setting: did you mean TALLER_RATE_LIMIT?",
    }


def test_each_setting_is_shown_with_its_source_and_no_secret(declare: Declare) -> None:
    Path("secret").write_text(f"{SECRET}\n")
    Path(".env").write_text("TALLER_PORT=8001\nTALLER_WORKERS=2\n")
    url = f"postgresql://taller:{PASSWORD}@db:5432/taller?sslmode=require"
    declare(TALLER_PORT="8002", TALLER_DATABASE_URL=url, TALLER_JWT_SECRET_FILE="secret", TALLER_TYPO="q7zx")
    shown = found()
    assert shown["TALLER_PORT"] == Setting("TALLER_PORT", "8002", "environment", None)
    assert shown["TALLER_WORKERS"] == Setting("TALLER_WORKERS", "2", ".env", None)
    assert shown["TALLER_HOST"] == Setting("TALLER_HOST", "127.0.0.1", "default", None)
    assert shown["TALLER_DATABASE_URL"].value == "postgresql://taller@db:5432/taller"
    assert (shown["TALLER_JWT_SECRET"].value, shown["TALLER_JWT_SECRET"].source) == ("********", "secret")
    assert shown["TALLER_TYPO"] == Setting("TALLER_TYPO", None, "?", "TALLER_TYPO is not a setting.")
    assert not [each for each in shown.values() if "q7zx" in str(each) or SECRET in str(each)]


@pytest.mark.parametrize("value", ["q7zx", "mysql://q7zx@db"])
def test_an_address_that_cannot_be_read_is_masked(declare: Declare, value: str) -> None:
    declare(TALLER_DATABASE_URL=value)
    shown = found()["TALLER_DATABASE_URL"]
    assert shown.value == "********"
    assert shown.problem is not None
    assert "q7zx" not in shown.problem


def test_secrets_are_read_from_files(declare: Declare) -> None:
    for name, value in (("u", "postgresql://u@db/d"), ("s", SECRET), ("p", f"{SECRET}1,{SECRET}2")):
        Path(name).write_text(f"{value}\n")
    declare(
        TALLER_ENV="production",
        TALLER_DATABASE_URL_FILE="u",
        TALLER_JWT_SECRET_FILE="s",
        TALLER_JWT_PREVIOUS_SECRETS_FILE="p",
    )
    settings = Settings()
    assert settings.database_url == "postgresql+asyncpg://u@db/d"
    assert settings.jwt_secret.get_secret_value() == SECRET
    assert [each.get_secret_value() for each in settings.jwt_previous_secrets] == [f"{SECRET}1", f"{SECRET}2"]


def test_a_file_that_holds_no_secret_is_refused(declare: Declare) -> None:
    Path("empty").touch()
    Path("binary").write_bytes(b"\xff\xfe")
    for file, said in (
        ("absent", "cannot be read from the file of TALLER_JWT_SECRET_FILE: No such file or directory."),
        ("binary", "cannot be read from the file of TALLER_JWT_SECRET_FILE: it is not UTF-8."),
        ("empty", "is not in the file of TALLER_JWT_SECRET_FILE, which is empty."),
    ):
        declare(TALLER_JWT_SECRET_FILE=file)
        assert problems() == [f"TALLER_JWT_SECRET {said}"]
    declare(TALLER_JWT_SECRET=SECRET)
    assert problems() == ["TALLER_JWT_SECRET must not be set as well as TALLER_JWT_SECRET_FILE."]
