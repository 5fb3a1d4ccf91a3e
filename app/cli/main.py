"""The command `taller`, also `python -m app`: what can be given to it, and how its failures are told.

What a command does is imported when it is called: `taller --help` and completion in a shell need none of it.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import UUID

import click
from click.shell_completion import get_completion_class

from app import __version__
from app.cli.errors import CommandError

if TYPE_CHECKING:
    from app.core.config import Settings

_COMPLETION_VARIABLE = "_TALLER_COMPLETE"


class _Command(click.Command):
    """A command that does not repeat what it was given too much of, which may be a password."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left of the arguments: nothing."""
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            raise click.UsageError(
                "Too many arguments: secrets are never arguments, they are read from standard input", ctx
            )
        return left


class _Group(click.Group):
    command_class = _Command


_Group.group_class = _Group


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings are TALLER_… variables, or lines of .env; `taller config` prints them.",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def taller() -> None:
    """Projects and their tasks."""


@taller.command()
def run() -> None:
    """Serve; the database must be migrated."""
    from app.cli import serving

    # The log names the unknown ones.
    serving.run(_settings(names_unknown=False))


@taller.command()
def migrate() -> None:
    """Bring the database schema to the newest revision."""
    from app.cli import migrating

    migrating.migrate(_settings())


@taller.command()
def openapi() -> None:
    """Print the OpenAPI document; needs no database."""
    settings = _settings()
    import json

    from app.main import create_app

    click.echo(json.dumps(create_app(settings).openapi(), indent=2))


@taller.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes commands in a shell. For bash: eval "$(taller completion bash)"."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(taller, {}, "taller", _COMPLETION_VARIABLE).source())


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@taller.command()
@_as_json
def config(as_json: bool) -> None:
    """Print every setting and where it comes from. Secrets are masked; the exit status is 1 if something is wrong."""
    from dataclasses import asdict

    from app.cli.output import print_rows
    from app.cli.settings_report import settings_as_they_stand

    found = settings_as_they_stand()
    columns = {"name": "SETTING", "value": "VALUE", "source": "FROM"}
    print_rows([asdict(setting) for setting in found], columns, as_json=as_json)
    problems = [setting.problem for setting in found if setting.problem is not None]
    if problems:
        raise CommandError("\n  ".join(("The settings are invalid:", *problems)))


@taller.command()
def doctor() -> None:
    """Check schema, indexes, references, counts, connections and clock. The exit status is 1 if something is wrong."""
    from app.cli import admin

    admin.run(admin.patient(_settings()), admin.doctor)


@taller.command()
@click.option(
    "--revoke-keys/--keep-keys",
    default=None,
    help="What happens to all API keys: also those that had been revoked are valid again.",
)
def restored(revoke_keys: bool | None) -> None:
    """Do what has to be done once after a backup was restored."""
    from app.cli import admin

    admin.run(admin.patient(_settings()), admin.complete_restore, revoke_keys=revoke_keys)


@taller.group()
def users() -> None:
    """Create, list and change accounts."""


@users.command("create")
@click.argument("username")
@click.option("--email", help="Shown to the person and to administrators.")
@click.option("--admin", "is_admin", is_flag=True, help="Make it an administrator's.")
def create_user(username: str, email: str | None, is_admin: bool) -> None:
    """Create an account. Its password is asked for, or read from standard input."""
    from app.cli import admin

    admin.run(_settings(), admin.create_user, username=username, email=email, is_admin=is_admin)


@users.command("list")
@_as_json
def list_users(as_json: bool) -> None:
    """List all accounts, the newest first."""
    from app.cli import admin

    admin.run(_settings(), admin.list_users, as_json=as_json)


@users.command("activate")
@click.argument("username")
def activate_user(username: str) -> None:
    """Let a deactivated account sign in again."""
    _change_user(username, "activated {}", is_active=True)


@users.command("deactivate")
@click.argument("username")
def deactivate_user(username: str) -> None:
    """Deactivate an account and end its sessions."""
    _change_user(username, "deactivated {}", is_active=False)


@users.command("promote")
@click.argument("username")
def promote_user(username: str) -> None:
    """Make a person an administrator."""
    _change_user(username, "made {} an administrator", is_superuser=True)


@users.command("demote")
@click.argument("username")
def demote_user(username: str) -> None:
    """Make an administrator an ordinary person."""
    _change_user(username, "{} is no administrator any more", is_superuser=False)


def _change_user(username: str, done: str, **changes: bool) -> None:
    from app.cli import admin

    admin.run(_settings(), admin.change_user, username=username, done=done, changes=changes)


@users.command("set-password")
@click.argument("username")
def set_password(username: str) -> None:
    """Set a password and end the sessions. The password is asked for, or read from standard input."""
    from app.cli import admin

    admin.run(_settings(), admin.set_password, username=username)


@taller.group()
def keys() -> None:
    """Create, list and revoke API keys."""


def _known_scopes(_: click.Context, __: click.Parameter, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Raise `BadParameter` unless all scopes are known."""
    import app.features  # noqa: F401 - features add theirs
    from app.auth.scopes import KEY_SCOPES

    known = list(KEY_SCOPES)
    if not set(scopes) <= set(known):
        raise click.BadParameter(f"must be one of {', '.join(known)}")
    return scopes


@keys.command("create")
@click.argument("username")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    callback=_known_scopes,
    help="What it may do, such as tasks:read; repeat the option for several scopes.",
)
@click.option("--days", type=click.IntRange(1, 36500), help="How long it lasts; for ever unless given.")
@click.option("--project", type=click.UUID, help="The id of the only project that it reaches.")
def create_key(username: str, name: str, scopes: tuple[str, ...], days: int | None, project: UUID | None) -> None:
    """Create an API key and print its secret, this once. It has the rights of USERNAME; NAME says what it is for."""
    from app.cli import admin

    admin.run(_settings(), admin.create_key, username=username, name=name, scopes=scopes, days=days, project_id=project)


@keys.command("list")
@click.option("--user", "username", help="Only the keys of this person.")
@_as_json
def list_keys(username: str | None, as_json: bool) -> None:
    """List the API keys that are not revoked, the newest first."""
    from app.cli import admin

    admin.run(_settings(), admin.list_keys, username=username, as_json=as_json)


@keys.command("revoke")
@click.argument("key_id", required=False, metavar="[ID]")
def revoke_key(key_id: str | None) -> None:
    """Revoke an API key. Without its ID, its secret is asked for, or read from standard input."""
    from app.cli import admin

    admin.run(_settings(), admin.revoke_key, key_id=key_id)


# In a checkout; the image does not have them.
if find_spec("devtools") is not None:

    @taller.command()
    def dev() -> None:
        """Serve for development, on a database that is prepared first."""
        from devtools import commands

        commands.dev(_settings())

    @taller.command()
    @click.argument("name")
    def migration(name: str) -> None:
        """Draft a migration from the models. NAME is what it does, for example "add labels"."""
        from devtools import commands

        commands.migration(_settings(), name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    try:
        given = None if arguments is None else list(arguments)
        status = taller.main(given, "taller", complete_var=_COMPLETION_VARIABLE, standalone_mode=False)
        # A reader that has gone is noticed here, not when Python has no way left to say so.
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "taller"
        click.echo(f"taller: {error.format_message().rstrip('.')} (see `{command} --help`).", err=True)
        sys.exit(2)
    except Exception as error:
        said = _said(error)
        if said is None:
            raise
        sys.exit(f"taller: {said}")
    sys.exit(status if isinstance(status, int) else 0)


def _said(error: Exception) -> str | None:
    """Return what an operator is told instead of a traceback; None for what is a fault of ours."""
    if isinstance(error, CommandError):
        return str(error)
    from app.core.config import get_settings
    from app.core.database.faults import explanation
    from app.core.errors import AppError

    if isinstance(error, OSError) and error.filename is not None:
        return f"Cannot use {error.filename}: {error.strerror}."
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return f"Cannot write the output: {error.strerror}."
    found = explanation(error, get_settings().database_url)
    return error.detail if found is None and isinstance(error, AppError) else found


def _settings(*, names_unknown: bool = True) -> "Settings":
    """Return the settings. Raises `CommandError` with everything that is wrong with them."""
    from pydantic import ValidationError

    from app.cli.settings_report import problems_of, unknown_variables
    from app.core.config import get_settings

    try:
        settings = get_settings()
    except ValidationError as error:
        problems = [*problems_of(error).values(), *unknown_variables().values()]
        raise CommandError("\n  ".join(("The settings are invalid:", *problems))) from None
    except UnicodeDecodeError:
        raise CommandError("Cannot read .env: it is not UTF-8.") from None
    if names_unknown:
        for said in unknown_variables().values():
            click.echo(f"taller: {said}", err=True)
    return settings
