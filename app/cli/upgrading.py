"""Migrations by Alembic, for the commands; a server process does without its 10 MB."""

from collections.abc import Callable

from alembic import command
from alembic.config import Config

from app.cli.errors import CommandError
from app.core.config import Settings
from app.core.database.migrations import ROOT


def direct_url(settings: Settings) -> str:
    """Return the address for migrations. Raises `CommandError` if these settings do not lead to PostgreSQL itself."""
    if settings.database_url is None:
        raise CommandError("TALLER_DATABASE_URL is not set.")
    if settings.pgbouncer:
        # Runners exclude each other by a session-level lock, which PgBouncer does not support.
        raise CommandError(
            "Migrations must not run through PgBouncer: set TALLER_DATABASE_URL to the address of PostgreSQL itself "
            "and TALLER_PGBOUNCER=false."
        )
    return settings.database_url


def alembic_config(url: str | None = None) -> Config:
    """Return Alembic's configuration from pyproject.toml, for one database."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    if url is not None:
        config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head", on_version_apply: Callable[..., None] | None = None) -> None:
    """Upgrade the schema to a revision. Concurrent calls are safe: the others wait, and then find it upgraded.

    `on_version_apply` is called after each migration, as Alembic does it.
    """
    config = alembic_config(url)
    config.attributes["on_version_apply"] = on_version_apply
    command.upgrade(config, revision)
