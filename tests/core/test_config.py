"""Settings: what production refuses, and what is made of an address."""

import secrets
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.cli.serving import with_other_family
from app.cli.settings_report import problems_of
from app.core.config import DEVELOPMENT_SECRET, Settings

PASSWORD = "q7zx-password"
ADDRESS = f"postgresql://taller:{PASSWORD}@db:5432/taller"
GOOD_SECRET = "Hq0zB5v7-wJx2eYk9nT_4uRm1cLd8fSg3aPo6iVtEbNhXyQz"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment in which the tests run."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TALLER_{name.upper()}", raising=False)


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def refusal(**values: Any) -> str:
    """What an operator is told, after all that a traceback would show."""
    with pytest.raises(ValidationError) as caught:
        settings(**values)
    return "".join([*traceback.format_exception(caught.value), *problems_of(caught.value).values()])


def test_development_needs_nothing() -> None:
    assert settings().is_development
    assert settings().database_url is None


def test_production_starts_with_a_good_secret_and_a_database() -> None:
    assert not settings(env="production", database_url=ADDRESS, jwt_secret=GOOD_SECRET).is_development


@pytest.mark.parametrize(
    "secret",
    [
        *(DEVELOPMENT_SECRET, f"{DEVELOPMENT_SECRET}!", DEVELOPMENT_SECRET.upper().replace("-", "_"), "q7zx-short"),
        *(GOOD_SECRET[:31], "ab" * 30, "q" * 64, " " * 64, "!" * 40, GOOD_SECRET[:6] * 8),
        *("changeme-changeme-changeme-changeme", "my-super-secret-production-key-2026!!"),
        *("abcdefghijklmnopqrstuvwxyz0123456789", "qwertyuiopasdfghjklzxcvbnm1234567890", "0123456789abcdef" * 2),
        *("p4ssw0rd-p4ssw0rd-p4ssw0rd-p4ssw0rd!", "your-256-bit-secret-your-256-bit-secret"),
    ],
)
def test_production_refuses_a_guessable_secret_without_repeating_it(secret: str) -> None:
    message = refusal(env="production", database_url=ADDRESS, jwt_secret=secret)
    assert "TALLER_JWT_SECRET" in message
    assert secret not in message
    assert PASSWORD not in message


@pytest.mark.parametrize("make", [secrets.token_urlsafe, secrets.token_hex])
@pytest.mark.parametrize("size", [24, 48, 500])
def test_production_takes_whatever_is_random(make: Callable[[int], str], size: int) -> None:
    settings(env="production", database_url=ADDRESS, jwt_secret=make(size))


def test_production_refuses_to_start_without_a_secret() -> None:
    assert "TALLER_JWT_SECRET" in refusal(env="production", database_url=ADDRESS)


def test_production_refuses_to_start_without_a_database() -> None:
    assert "TALLER_DATABASE_URL" in refusal(env="production", jwt_secret=GOOD_SECRET)


def test_the_seeds_development_is_no_longer_development_by_a_misspelling() -> None:
    assert "env" in refusal(env="prod", database_url=ADDRESS, jwt_secret=GOOD_SECRET)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_an_address_is_taken_however_its_scheme_is_written(scheme: str) -> None:
    url = settings(database_url=f"{scheme}://taller:{PASSWORD}@db:5432/taller?ssl=require").database_url
    assert url == f"postgresql+asyncpg://taller:{PASSWORD}@db:5432/taller?ssl=require"


def test_an_address_keeps_a_password_with_special_characters() -> None:
    url = settings(database_url="postgresql://taller:p%40ss%2Fword@db/taller").database_url
    assert url == "postgresql+asyncpg://taller:p%40ss%2Fword@db/taller"


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://taller:{PASSWORD}@db/taller",
        f"sqlite:///{PASSWORD}",
        f"taller:{PASSWORD}@db/taller",
        f"postgresql://taller:{PASSWORD}@db:port/taller",
        # Where the @ is missing, the password stands where a port does.
        f"postgresql://taller:{PASSWORD}/taller",
        PASSWORD,
    ],
)
def test_an_address_that_is_refused_is_not_repeated(address: str) -> None:
    message = refusal(database_url=address)
    assert PASSWORD not in message
    assert "postgresql://" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 0), ("port", 65536), ("workers", 0), ("database_pool_size", 0), ("access_token_lifetime", 59),
     ("max_body_bytes", 1), ("statement_timeout", 0), ("log_level", "loud")],
)  # fmt: skip
def test_values_out_of_range_are_refused_at_the_start(name: str, value: object) -> None:
    assert name in refusal(**{name: value})


def test_requests_are_limited_in_production_and_not_in_development() -> None:
    production = {"env": "production", "database_url": ADDRESS, "jwt_secret": GOOD_SECRET}
    assert settings().rate_limits == {}
    assert settings(**production).rate_limits == {"default": (1200, 60), "login": (120, 60)}
    assert settings(**production, rate_limit="off", rate_limit_login="7/3600").rate_limits == {"login": (7, 3600)}
    assert settings(rate_limit="600/60").rate_limits == {"default": (600, 60)}


@pytest.mark.parametrize("value", ["600", "600/", "/60", "0/60", "600/0", "-1/60", "600/minute", "on", "6.5/60"])
def test_a_limit_that_is_none_is_refused_at_the_start(value: str) -> None:
    assert "rate_limit" in refusal(rate_limit=value)


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        # The first two are taken by the server without a word, and match nothing.
        ("trusted_proxies", ["proxy", "10.0.0.1/8", "10.0.0.5,nginx"], ["10.0.0.5, 192.168.0.0/24", "::1", "*", ""]),
        (
            "cors_origins",
            ["https://app.example.org/", "app.example.org", "https://App.example.org", "https://a.test,*.test"],
            ["https://app.example.org,http://localhost:5173", "http://[::1]:80", "*", ""],
        ),
    ],
)
def test_addresses_that_match_nothing_are_refused(name: str, refused: list[str], taken: list[str]) -> None:
    for value in refused:
        assert f"TALLER_{name.upper()}" in refusal(**{name: value})
    for value in taken:
        settings(**{name: value})


@pytest.mark.parametrize(
    ("trusted", "peer", "is_believed"),
    [
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.6", False),
        ("192.168.0.0/24, ::1", "::ffff:192.168.0.200", True),
        ("192.168.0.0/24, ::1", "::1", True),
        ("::ffff:10.0.0.0/120", "10.0.0.9", True),
        ("*", "::ffff:10.0.0.5", True),
        ("", "::ffff:10.0.0.5", False),
    ],
)
async def test_proxy_is_believed_on_a_socket_of_both_families(trusted: str, peer: str, is_believed: bool) -> None:
    seen: list[Any] = []
    unused: Any = None

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope["client"])

    scope: Any = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    await ProxyHeadersMiddleware(app, with_other_family(trusted))(scope, unused, unused)
    assert seen == [("192.0.2.1", 0) if is_believed else (peer, 1)]


def test_variables_are_read_with_their_prefix_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("TALLER_PORT", "8123")
    assert settings().port == 8123


def test_the_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLER_JWT_SECRET", GOOD_SECRET)
    shown = repr(settings()) + str(settings()) + settings().model_dump_json()
    assert GOOD_SECRET not in shown


def test_settings_do_not_change_while_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        monkeypatch.setattr(settings(), "port", 1)


def test_a_schema_is_the_search_path_of_every_connection() -> None:
    assert settings(database_url="postgresql://db/taller", database_schema="team_a").database_url == (
        "postgresql+asyncpg://db/taller?options=-csearch_path%3Dteam_a"
    )


def test_settings_that_contradict_each_other_are_named_at_once() -> None:
    message = refusal(
        env="production",
        database_schema="team_a",
        pgbouncer=True,
        database_url="postgresql://db/taller?options=-cjit%3Doff",
        metrics_port=8000,
        jwt_secret="short",
        otlp_endpoint="collector:4318",
    )
    for name in ("PGBOUNCER", "DATABASE_URL", "METRICS_PORT", "JWT_SECRET", "OTLP_ENDPOINT"):
        assert f"TALLER_{name} " in message or f"TALLER_{name}:" in message, name


def test_statements_stay_prepared_through_a_pgbouncer_only() -> None:
    name = "TALLER_PGBOUNCER_PREPARED_STATEMENTS"
    assert name in refusal(pgbouncer_prepared_statements=True)
    assert settings(pgbouncer=True, pgbouncer_prepared_statements=True).pgbouncer_prepared_statements


@pytest.mark.parametrize("schema", ["Team", "pg_temp", "a-b", "a;b", "1a", ""])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    assert "TALLER_DATABASE_SCHEMA" in refusal(database_url="postgresql://db/taller", database_schema=schema)
