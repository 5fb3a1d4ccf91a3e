"""The command `taller`, also `python -m app`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import NoReturn

import uvicorn
from pydantic import ValidationError

from app.auth.accounts.service import create_seed_admin
from app.auth.manager import Authentication
from app.cli import admin
from app.cli.database import say
from app.cli.errors import CommandError
from app.core.config import Settings, get_settings
from app.core.database.database import Database, translating_errors
from app.core.database.migrations import MigrationError, direct_url, upgrade
from app.core.database.models import Base
from app.core.database.search import UnknownDictionaryError, use_dictionary, words_indexes
from app.core.errors import UnavailableError
from app.core.http.protocol import BoundedHttp
from app.core.logging import configure_logging


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    parser = argparse.ArgumentParser(prog="taller", description="Projects and their tasks.")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add(commands, "run", run, "serve; the database must be migrated")
    _add(commands, "migrate", migrate, "bring the database schema to the newest revision")
    _add(commands, "openapi", openapi, "print the OpenAPI document")
    admin.add_commands(commands)
    # In a checkout; the image does not have them.
    if find_spec("devtools") is not None:
        from devtools import commands as development

        development.add_commands(commands)
    chosen = parser.parse_args(arguments)
    try:
        chosen.command(_settings(), chosen)
    except (CommandError, MigrationError, UnavailableError) as error:
        reason = f" ({error.__cause__})" if isinstance(error, UnavailableError) and error.__cause__ else ""
        sys.exit(f"taller: {error}{reason}")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    function: Callable[[Settings], None],
    summary: str,
) -> None:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(command=lambda settings, _: function(settings))


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish running requests."""
    if settings.database_url is None:
        raise CommandError("TALLER_DATABASE_URL is not set (`taller dev` starts a database of its own).")
    # Worker processes build their settings from the environment.
    for name in ("database_url", "log_format"):
        os.environ[f"TALLER_{name.upper()}"] = str(getattr(settings, name))
    get_settings.cache_clear()
    configure_logging(settings)
    # uvicorn stops gracefully and then raises the signal once more.
    with terminated_as_exit():
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
        with translating_errors():
            upgrade(url)
    except UnavailableError as error:
        raise CommandError(f"The database cannot be migrated: {error.__cause__ or error}") from error
    try:
        if asyncio.run(use_dictionary(url, settings.search_dictionary, words_indexes(Base.metadata))):
            say(f"text search now uses the dictionary {settings.search_dictionary}")
    except UnknownDictionaryError:
        raise CommandError(
            f"The database server has no text search dictionary {settings.search_dictionary} (see pg_ts_dict)."
        ) from None
    if settings.is_development:
        asyncio.run(_seed(settings))


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
def terminated_as_exit() -> Generator[None]:
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
        raise SystemExit("taller: The settings are invalid:\n  " + "\n  ".join(problems)) from None
