"""Settings: everything an operator may decide, read once from `TALLER_…` variables and `.env`."""

import gc
import re
import sys
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.addresses import address_of

ENV_FILE = ".env"

MIN_SECRET_LENGTH = 32
"""Bytes of HS256 output; RFC 7518 section 3.2 asks for a key at least as long."""

DEVELOPMENT_SECRET = "development-only-secret-never-use-this-in-production"  # noqa: S105 - refused in production

MIN_SECRET_GUESSES = 20
"""Powers of ten, as zxcvbn counts: 32 random characters of any alphabet have 23 and more."""


_ORIGIN = r"https?://([a-z0-9._-]+|\[[0-9a-f:]+])(:[0-9]+)?"


@lru_cache(1)
def _is_guessable(secret: str) -> bool:
    """Return whether a secret is short, or made of words, repetitions and sequences."""
    # Its lists of words take 150 ms to read, and nobody else needs them.
    # Where one process serves, settings are read twice.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    # Case, and what stands between words, make them hardly harder to guess. What is left is as much as zxcvbn takes.
    bare, known = ("".join(filter(str.isalnum, text.casefold()))[:72] for text in (secret, DEVELOPMENT_SECRET))
    guesses = zxcvbn(bare, user_inputs=[known])["guesses_log10"] if bare else 0
    # 12 MiB that no worker should keep for the rest of its life.
    for name in [name for name in sys.modules if name.partition(".")[0] == "zxcvbn"]:
        del sys.modules[name]
    # At once: what is imported next takes their place. `taller` starts with the collector off.
    del zxcvbn
    gc.collect()
    return len(secret) < MIN_SECRET_LENGTH or guesses < MIN_SECRET_GUESSES


def _database_url(value: str) -> str:
    """Accept `postgres://`, `postgresql://` or `postgresql+…://`, and make each `postgresql+asyncpg://`."""
    address_of(value)
    return f"postgresql+asyncpg://{value.partition('://')[2]}"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _trusted_proxies(value: str) -> str:
    """Refuse what is never the address of a connection: uvicorn takes it without a word."""
    if value.strip() != "*":
        for part in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(part)
            except ValueError:
                raise ValueError("must be addresses or networks, as in 10.0.0.5,192.168.0.0/24, or *") from None
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what browsers never send as an origin."""
    for origin in value:
        if origin != "*" and re.fullmatch(_ORIGIN, origin) is None:
            raise ValueError("must be origins without a path, as in https://app.example.org, or *")
    return value


def _otlp_endpoint(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("must be an address like http://collector:4318/v1/traces")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ValueError("needs OpenTelemetry, which is not installed: install requirements/otel.txt")
    return value


Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_origins)]
SecretList = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]


def _matching(pattern: str, rule: str) -> AfterValidator:
    """Return what refuses a text that does not match a pattern as a whole, with the rule."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(rule)
        return value

    return AfterValidator(check)


RateLimit = Annotated[
    str, _matching("off|[1-9][0-9]{0,8}/[1-9][0-9]{0,4}", "must be requests/seconds, as in 1200/60, or off")
]
Schema = Annotated[
    str, _matching("(?!pg_)[a-z_][a-z0-9_]{0,62}", "must be a name of small letters, digits and _, as in team_a")
]
Dictionary = Annotated[
    str, _matching("[a-z_][a-z0-9_]{0,62}", "must be the name of a text search dictionary, as in english_stem")
]
PublicUrl = Annotated[
    str,
    _matching(
        rf"(?i){_ORIGIN}(/(?![^?#]*[?#])[!-~]*)?",
        "must be an address like https://example.org or https://example.org/taller",
    ),
    AfterValidator(lambda url: url.rstrip("/")),
]
OtlpEndpoint = Annotated[str, AfterValidator(_otlp_endpoint)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]


class Settings(BaseSettings):
    """Every setting, with its default. `.env.example` lists the same ones; a test keeps the two equal."""

    model_config = SettingsConfigDict(
        env_prefix="TALLER_",
        env_file=ENV_FILE,
        # `TALLER_DATABASE_URL=` is how compose files and .env write "not set".
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    env: Literal["development", "production"] = "development"
    """Development creates the seed's admin and allows defaults; production refuses to start with either."""

    host: str = "127.0.0.1"
    """The address to listen on."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """The TCP port to listen on."""

    otlp_endpoint: OtlpEndpoint | None = None
    """Where traces are sent (http://collector:4318/v1/traces), which needs requirements/otel.txt; empty for none."""

    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The TCP port of the metrics for Prometheus, which nobody needs a token for; empty for no metrics."""

    metrics_host: str = "127.0.0.1"
    """The address on which the metrics are served: one that only Prometheus reaches."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Server processes; each opens its own connection pool."""

    data_dir: Path = Path(".taller")
    """Where the embedded development PostgreSQL keeps its data."""

    database_url_file: Path | None = None
    """A file with the value of TALLER_DATABASE_URL, for Docker's and Kubernetes' secrets."""

    database_schema: Schema | None = None
    """The schema of this Taller, which `taller migrate` creates (docs/scaling.md); empty for `public`."""

    database_url: Annotated[DatabaseUrl | None, Field(validate_default=True)] = None
    """The PostgreSQL (14 or newer) to use; empty starts the embedded one, in development only."""

    database_replica_url_file: Path | None = None
    """A file with the value of TALLER_DATABASE_REPLICA_URL."""

    database_replica_url: Annotated[DatabaseUrl | None, Field(validate_default=True)] = None
    """A standby for reads of clients that send Taller-Position (docs/scaling.md), without PgBouncer; empty for none."""

    database_replica_lag: Annotated[float, Field(ge=0.5, le=10)] = 1.0
    """Seconds that the standby may lag behind; what it may not answer, the primary does."""

    pgbouncer: bool = False
    """Whether TALLER_DATABASE_URL leads to a PgBouncer in transaction mode; each statement then costs a bit more."""

    pgbouncer_prepared_statements: bool = False
    """Whether it is 1.21 or newer with `max_prepared_statements` above 0; each statement then costs less."""

    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections per worker, and a third more for filters and searches; all must fit `max_connections`."""

    database_pool_queue: Annotated[int, Field(ge=1, le=100000)] = 500
    """Requests per worker that may wait for a free connection; further ones are answered 503 at once."""

    database_pool_timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Seconds a request waits for a free connection before it is answered 503."""

    caller_concurrency: Annotated[int, Field(ge=1, le=200)] = 9
    """Requests of one person that a worker serves at a time; one while it serves several people. Further ones wait."""

    caller_searches: Annotated[int, Field(ge=1, le=200)] = 4
    """Searches and other costly requests among these that run at a time if they are quick; slow ones go one by one."""

    database_connect_timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Seconds to wait for PostgreSQL to accept a connection."""

    statement_timeout: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Seconds a single SQL statement may take before PostgreSQL cancels it and the request is answered 503."""

    search_dictionary: Dictionary = "simple"
    """The PostgreSQL dictionary by which words are searched (`english_stem`, …); `taller migrate` applies a change."""

    jwt_secret_file: Path | None = None
    """A file with the value of TALLER_JWT_SECRET."""

    jwt_secret: Annotated[SecretStr, Field(validate_default=True)] = SecretStr(DEVELOPMENT_SECRET)
    """Signs access tokens; at least 32 characters of randomness, required in production."""

    jwt_previous_secrets_file: Path | None = None
    """A file with the value of TALLER_JWT_PREVIOUS_SECRETS."""

    jwt_previous_secrets: Annotated[SecretList, Field(validate_default=True)] = ()
    """Comma-separated former values of TALLER_JWT_SECRET: what they signed still holds, but they sign nothing new."""

    access_token_lifetime: Annotated[int, Field(ge=60, le=86400)] = 900
    """Seconds for which an access token is valid."""

    refresh_token_lifetime: Annotated[int, Field(ge=3600, le=31536000)] = 2592000
    """Seconds for which a session can be refreshed after its last refresh."""

    refresh_grace: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Seconds in which a refresh whose answer was lost may be repeated before it counts as theft."""

    one_time_password_lifetime: Annotated[int, Field(ge=60, le=31536000)] = 604800
    """Seconds within which another password has to be chosen in the place of a one-time password."""

    revocation_delay: Annotated[float, Field(ge=0.2, le=60)] = 5.0
    """Seconds within which every worker refuses what was revoked."""

    registration: Literal["open", "closed"] | None = None
    """Whether people may register themselves: open or closed; empty means open in development, closed in production."""

    registrations_per_address: Annotated[int, Field(ge=1)] = 50
    """Registrations from one network address within an hour; further ones are answered 429."""

    login_failures_per_account: Annotated[int, Field(ge=1)] = 10
    """Failed logins to one account from one network address within the window; further ones are answered 429."""

    login_failures_per_address: Annotated[int, Field(ge=1)] = 100
    """Failed logins from one network address within the window, whatever the account; further ones are answered 429."""

    login_failure_window: Annotated[int, Field(ge=1, le=86400)] = 300
    """Seconds after the first failed login until its count is forgotten."""

    rate_limit: RateLimit | None = None
    """Requests of one caller in so many seconds (1200/60), or off; empty means 1200/60, and off in development."""

    rate_limit_login: RateLimit | None = None
    """Sign-ins, refreshes and registrations of one address, likewise; empty means 120/60, and off in development."""

    max_sessions: Annotated[int, Field(ge=1, le=1000)] = 50
    """Sessions that one person may have; signing in once more ends the oldest."""

    max_api_keys: Annotated[int, Field(ge=1, le=1000)] = 50
    """API keys that one person may have; one more is answered 409."""

    idempotency_lifetime: Annotated[int, Field(ge=1, le=2592000)] = 86400
    """Seconds for which an Idempotency-Key and the answer that belongs to it are kept."""

    max_idempotency_keys: Annotated[int, Field(ge=1, le=1000000)] = 20000
    """Idempotency keys kept for one caller, roughly; a request with one more is answered 409."""

    max_idempotency_bytes: Annotated[int, Field(ge=1)] = 104857600
    """Bytes of the answers that are kept for one caller's idempotency keys, roughly; beyond, a key is answered 409."""

    public_url: PublicUrl | None = None
    """Where clients reach the service, with the path that a proxy strips, if any (https://example.org/taller)."""

    keep_alive_timeout: Annotated[int, Field(ge=1, le=3600)] = 75
    """Seconds for which a connection without a request is kept; longer than any proxy in front keeps its own."""

    head_timeout: Annotated[float, Field(gt=0, le=3600)] = 20.0
    """Seconds in which the request line and headers of a request have to arrive; then it is answered 408."""

    body_timeout: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds in which the body of a request has to arrive after its headers; then it is answered 408."""

    trusted_proxies: Annotated[str, AfterValidator(_trusted_proxies)] = ""
    """Comma-separated addresses of proxies whose X-Forwarded-For and -Proto are believed; empty for none."""

    cors_origins: Origins = ()
    """Comma-separated origins whose pages may call the API from a browser; empty for none."""

    argon2_time_cost: Annotated[int, Field(ge=1, le=20)] = 2
    """Argon2id passes over memory when a password is hashed (OWASP: 2 with 19 MiB)."""

    argon2_memory_cost: Annotated[int, Field(ge=8, le=1048576)] = 19456
    """Argon2id memory in KiB when a password is hashed."""

    password_hash_concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Passwords hashed at the same time per worker; further logins wait, other requests do not."""

    password_queue: Annotated[int, Field(ge=0, le=10000)] = 100
    """Passwords that wait to be hashed per worker; a login beyond that is answered 503."""

    password_timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Seconds a password waits to be hashed before its login is answered 503."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 131072
    """The largest request body that is read, in bytes; a larger one is answered 413."""

    max_batch_body_bytes: Annotated[int, Field(ge=1024)] = 1048576
    """The same for batches, which hold many tasks."""

    max_auth_body_bytes: Annotated[int, Field(ge=1024)] = 16384
    """The same for the operations under /auth/ and /users/, most of which anybody may call."""

    drain_delay: Annotated[float, Field(ge=0, le=300)] | None = None
    """Seconds to serve on after SIGTERM while /health/ready answers 503; empty means 5, and 0 in development."""

    shutdown_timeout: Annotated[int, Field(ge=1, le=300)] = 20
    """Seconds that running requests get to finish after Ctrl-C, or after SIGTERM and the drain delay."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written."""

    log_format: Literal["json", "text"] = "json"
    """One JSON object per log line, or text for a person's eyes."""

    log_client: bool = False
    """Whether the line of a request names the network address of its client, which is personal data."""

    # Each is checked as a field of its own, so that all that is wrong is told at once. `env` and the files stand above.

    @field_validator("database_url", "database_replica_url", "jwt_secret", "jwt_previous_secrets", mode="before")
    @classmethod
    def _read_file(cls, value: object, info: ValidationInfo) -> object:
        path = info.data.get(f"{info.field_name}_file")
        if path is None:
            return value
        assert info.field_name is not None
        name = f"{variable_of(info.field_name)}_FILE"
        if value != cls.model_fields[info.field_name].default:
            raise ValueError(f"must not be set as well as {name}")
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"cannot be read from the file of {name}: {error.strerror}") from None
        except UnicodeError:
            raise ValueError(f"cannot be read from the file of {name}: it is not UTF-8") from None
        if not text:
            raise ValueError(f"is not in the file of {name}, which is empty")
        return text

    @field_validator(
        "database_url", "database_replica_url", "metrics_port", "pgbouncer", "pgbouncer_prepared_statements"
    )
    @classmethod
    def _refuse_what_does_not_fit(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a value that cannot be used beside those of the fields above it."""
        others = info.data
        match info.field_name:
            case "database_url" if value is None and others.get("env") == "production":
                raise ValueError("must be set in production, as in postgresql://user:password@host:5432/name")
            case "database_replica_url" if value is not None and len(address_of(value).hosts) > 1:
                raise ValueError("must name one host: what is known of one standby does not hold for another")
            case "metrics_port" if value is not None and value == others.get("port"):
                raise ValueError("must not be TALLER_PORT, which is public")
            case "pgbouncer" if value and others.get("database_schema") is not None:
                raise ValueError(
                    "must not be true with TALLER_DATABASE_SCHEMA, which PgBouncer does not pass on: give the role its "
                    "schema by ALTER ROLE … SET search_path"
                )
            case "pgbouncer_prepared_statements" if value and others.get("pgbouncer") is False:
                raise ValueError("must not be true without TALLER_PGBOUNCER=true")
        return value

    @field_validator("database_url", "database_replica_url")
    @classmethod
    def _in_schema(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Let every connection look into the schema, those of migrations and commands included."""
        schema = info.data.get("database_schema")
        if value is None or schema is None:
            return value
        if "options" in address_of(value).parameters:
            raise ValueError("must not have options as well as TALLER_DATABASE_SCHEMA")
        return f"{value}{'&' if '?' in value else '?'}options=-csearch_path%3D{schema}"

    @field_validator("jwt_secret", "jwt_previous_secrets")
    @classmethod
    def _refuse_guessable_secrets(cls, value: Any, info: ValidationInfo) -> Any:
        secrets: tuple[SecretStr, ...] = value if isinstance(value, tuple) else (value,)
        if info.data.get("env") == "production" and any(_is_guessable(each.get_secret_value()) for each in secrets):
            raise ValueError(
                "must be at least 32 random characters in production, for example from: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
        return value

    @property
    def is_development(self) -> bool:
        """Whether conveniences that no public service may have are on."""
        return self.env == "development"

    @property
    def public_prefix(self) -> str:
        """The path that a proxy strips, without a slash at the end."""
        return "" if self.public_url is None else urlsplit(self.public_url).path

    @property
    def by_value_pool_size(self) -> int:
        """The connections per worker for statements that are planned for their values."""
        return max(1, self.database_pool_size // 3)

    @property
    def rate_limits(self) -> dict[str, tuple[int, int]]:
        """The requests and the seconds of each policy that is on, by its name."""
        ours = ("off", "off") if self.is_development else ("1200/60", "120/60")
        chosen = {"default": self.rate_limit or ours[0], "login": self.rate_limit_login or ours[1]}
        parts = {name: rate.partition("/") for name, rate in chosen.items() if rate != "off"}
        return {name: (int(requests), int(seconds)) for name, (requests, _, seconds) in parts.items()}


def variable_of(field: str) -> str:
    """Return the name of a setting's environment variable."""
    return f"TALLER_{field.upper()}"


@lru_cache
def get_settings() -> Settings:
    """Return the settings of this process, read from its environment once."""
    return Settings()
