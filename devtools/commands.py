"""`taller dev` and `taller migration`: what the command line has besides in a checkout."""

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME
from app.cli.database import database_of, say
from app.cli.errors import CommandError
from app.cli.migrating import migrate
from app.cli.serving import refuse_taken_port, run, terminated_as_exit
from app.cli.upgrading import alembic_config, direct_url, upgrade
from app.core.config import Settings, get_settings
from app.core.database.migrations import head_revision
from devtools.postgres import EmbeddedPostgres, EmbeddedPostgresError


def dev(settings: Settings) -> None:
    """Serve on a database that is made ready first: the embedded one, unless TALLER_DATABASE_URL names another."""
    if not settings.is_development:
        raise CommandError("`taller dev` is for development; use `taller migrate` and `taller run`.")
    refuse_taken_port(settings)
    if "log_format" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_format": "text"})
    database = embedded_database(settings) if settings.database_url is None else database_of(settings)
    with terminated_as_exit(), database as url:
        settings = settings.model_copy(update={"database_url": url})
        say("migrating the database")
        migrate(settings)
        address = f"http://{settings.host}:{settings.port}"
        say(f"the API is about to serve on {address}")
        # Worker processes build their settings from the environment.
        for name in ("database_url", "log_format"):
            os.environ[f"TALLER_{name.upper()}"] = str(getattr(settings, name))
        get_settings.cache_clear()
        say(f"documentation to try it in: {address}/docs")
        say(f"sign in as {SEED_USERNAME} with password {SEED_PASSWORD}; Ctrl-C stops everything")
        run(settings)


def migration(settings: Settings, name: str) -> None:
    """Write the next migration file: what the models have and the migrated development database lacks."""
    if not settings.is_development:
        raise CommandError("`taller migration` is for development.")
    if not name.strip(". "):
        raise CommandError('Name the migration: make migration name="add labels".')
    database = embedded_database(settings) if settings.database_url is None else database_of(settings)
    with database as url:
        upgrade(direct_url(settings.model_copy(update={"database_url": url})))
        path = draft(url, name)
    say(f"drafted {path}: read it before it runs (docs/how-to/write-a-migration.md)")


def draft(url: str, name: str) -> Path:
    """Write the next migration: what the models have and this database, which is at head, lacks. Returns its file."""
    # The other commands run without these 10 MB.
    from alembic import command  # noqa: PLC0415
    from alembic.script import Script  # noqa: PLC0415

    title = " ".join(name.split()).rstrip(".")
    script = command.revision(
        alembic_config(url),
        f"{title[0].upper()}{title[1:]}.",
        autogenerate=True,
        # Numbers in a row: of two migrations drafted side by side, the second to be merged is told to move up.
        rev_id=f"{int(head_revision()) + 1:04}",
    )
    assert isinstance(script, Script)
    return Path(script.path)


@contextmanager
def embedded_database(settings: Settings, *, running: bool = False) -> Generator[str]:
    """Give the address of the embedded database. `running`: also where another process runs it already."""
    with ExitStack() as stack:
        try:
            url = EmbeddedPostgres.running_url(settings.data_dir) if running else None
            is_ours = url is None
            if url is None:
                url = stack.enter_context(EmbeddedPostgres(settings.data_dir, say=say)).url()
        except EmbeddedPostgresError as error:
            raise CommandError(error) from error
        except OSError as error:
            where = settings.data_dir.absolute()
            raise CommandError(
                f"Cannot keep data in {where}: {error.strerror}. Choose another TALLER_DATA_DIR."
            ) from error
        yield url
        if is_ours:
            say("stopping PostgreSQL")
