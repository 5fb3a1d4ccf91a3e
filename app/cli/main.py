"""The command `taller`, also `python -m app`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from pydantic import ValidationError

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME, create_seed_admin
from app.auth.manager import Authentication
from app.cli.admin import AdministrationError, add_commands, administer
from app.core.config import Settings, get_settings
from app.core.database.database import Database, errors_translated
from app.core.database.migrations import MigrationError, direct_url, draft, upgrade
from app.core.database.models import Base
from app.core.database.search import UnknownDictionaryError, use_dictionary, words_indexes
from app.core.errors import UnavailableError
from app.core.http.protocol import BoundedHttp
from app.core.logging import configure_logging

if TYPE_CHECKING:
    from devtools.postgres import EmbeddedPostgres


class CommandError(Exception):
    """A command cannot do what it was asked; the message tells the operator why."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    parser = argparse.ArgumentParser(prog="taller", description="Projects and their tasks.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, function, summary in (
        ("dev", dev, "prepare a database, migrate it and serve: everything for development"),
        ("run", run, "serve; the database must be migrated"),
        ("migrate", migrate, "bring the database schema to the newest revision"),
        ("openapi", openapi, "print the OpenAPI document"),
    ):
        commands.add_parser(name, help=summary, description=summary).set_defaults(function=function)
    summary = "draft a migration from the models"
    drafting = commands.add_parser("migration", help=summary, description=summary)
    drafting.add_argument("name", help='what it does, for example "add labels"')
    drafting.set_defaults(function=migration)
    add_commands(commands)
    chosen = parser.parse_args(arguments)
    try:
        if "action" in chosen:
            administration(_settings(), chosen)
        else:
            given = vars(chosen)
            given.pop("function")(_settings(), **given)
    except (CommandError, AdministrationError, MigrationError, UnavailableError) as error:
        reason = f" ({error.__cause__})" if isinstance(error, UnavailableError) and error.__cause__ else ""
        sys.exit(f"taller: {error}{reason}")


def dev(settings: Settings) -> None:
    """Serve on a database that is made ready first: the embedded one, unless TALLER_DATABASE_URL names another."""
    if not settings.is_development:
        raise CommandError("`taller dev` is for development; use `taller migrate` and `taller run`.")
    if "log_format" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_format": "text"})
    with _terminated_as_exit(), _database_for_development(settings) as url:
        settings = settings.model_copy(update={"database_url": url})
        _say("migrating the database")
        migrate(settings)
        address = f"http://{settings.host}:{settings.port}"
        _say(f"the API is about to serve on {address}")
        _say(f"documentation to try it in: {address}/docs")
        _say(f"sign in as {SEED_USERNAME} with password {SEED_PASSWORD}; Ctrl-C stops everything")
        run(settings)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish running requests."""
    if settings.database_url is None:
        raise CommandError("TALLER_DATABASE_URL is not set (`taller dev` brings a database of its own).")
    # Worker processes build their settings from the environment.
    for name in ("database_url", "log_format"):
        os.environ[f"TALLER_{name.upper()}"] = str(getattr(settings, name))
    get_settings.cache_clear()
    configure_logging(settings)
    # uvicorn stops gracefully and then raises the signal once more.
    with _terminated_as_exit():
        uvicorn.run(
            "app.main:serve",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=settings.shutdown_timeout,
            timeout_keep_alive=settings.keep_alive_timeout,
            loop="uvloop",
            # uvicorn calls it as it would call the class.
            http=partial(  # type: ignore[arg-type] # ty: ignore[invalid-argument-type]
                BoundedHttp,
                head_timeout=settings.head_timeout,
                body_timeout=settings.body_timeout,
                prefix=settings.public_prefix,
            ),
            ws="none",
        )


def migrate(settings: Settings) -> None:
    """Bring the schema to the newest revision; in development, make sure that the seed's admin exists."""
    url = direct_url(settings)
    try:
        with errors_translated():
            upgrade(url)
    except UnavailableError as error:
        raise CommandError(f"the database cannot be migrated now: {error.__cause__ or error}") from error
    try:
        if asyncio.run(use_dictionary(url, settings.search_dictionary, words_indexes(Base.metadata))):
            _say(f"words are searched by {settings.search_dictionary} now")
    except UnknownDictionaryError:
        raise CommandError(f"the server has no dictionary {settings.search_dictionary} (see pg_ts_dict)") from None
    if settings.is_development:
        asyncio.run(_seed(settings))


def migration(settings: Settings, name: str) -> None:
    """Write the next migration file: what the models have and the migrated development database lacks."""
    if not settings.is_development:
        raise CommandError("`taller migration` is for development.")
    if not name.strip(". "):
        raise CommandError('name the migration: make migration name="add labels"')
    with _database_for_development(settings) as url:
        upgrade(direct_url(settings.model_copy(update={"database_url": url})))
        path = draft(url, name)
    _say(f"drafted {path}: read it before it runs (docs/how-to/write-a-migration.md)")


def administration(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run a command of `users` or `keys` on the configured database, or on the embedded one, running or not."""
    running = _embedded().running_url(settings.data_dir) if settings.database_url is None else None
    if running is not None:
        administer(settings, running, arguments.action, arguments)
        return
    with _database_for_development(settings) as url:
        administer(settings, url, arguments.action, arguments)


def openapi(_: Settings) -> None:
    """Print the OpenAPI document; needs no database."""
    from app.main import create_app

    json.dump(create_app().openapi(), sys.stdout, indent=2)
    sys.stdout.write("\n")


async def _seed(settings: Settings) -> None:
    database = Database(settings)
    try:
        await create_seed_admin(database, Authentication(settings, database).passwords)
    finally:
        await database.close()


@contextmanager
def _database_for_development(settings: Settings) -> Generator[str]:
    if settings.database_url is not None:
        _say("using the database of TALLER_DATABASE_URL")
        yield settings.database_url
        return
    with ExitStack() as stack:
        try:
            postgres = stack.enter_context(_embedded()(settings.data_dir, say=_say))
        except RuntimeError as error:
            raise CommandError(error) from error
        yield postgres.url()
        _say("stopping PostgreSQL")


def _embedded() -> "type[EmbeddedPostgres]":
    try:
        from devtools.postgres import EmbeddedPostgres
    except ModuleNotFoundError:
        raise CommandError("there is no embedded PostgreSQL outside of a checkout: set TALLER_DATABASE_URL") from None
    return EmbeddedPostgres


@contextmanager
def _terminated_as_exit() -> Generator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that the database is stopped after the API."""

    def leave(_signal: int, _frame: object) -> NoReturn:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(0)


def _settings() -> Settings:
    try:
        return get_settings()
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors())
        raise SystemExit("taller: the settings are not valid\n  " + "\n  ".join(problems)) from None


def _say(message: str) -> None:
    print(f"taller: {message}", file=sys.stderr, flush=True)
