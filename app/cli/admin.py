"""What an operator does on the configured database: `taller users …`, `keys …`, `doctor` and `restored`."""

import asyncio
import gc
import getpass
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Concatenate, ParamSpec
from uuid import UUID

import click
from pydantic import ValidationError
from sqlalchemy import delete, literal

from app import __version__
from app.auth.accounts import queries as account_queries
from app.auth.accounts import service as accounts
from app.auth.accounts.schemas import Registration, UserUpdate
from app.auth.api_keys import queries as key_queries
from app.auth.api_keys import service as api_keys
from app.auth.api_keys.schemas import ApiKeyCreate
from app.auth.errors import UserNotFoundError
from app.auth.manager import Authentication
from app.auth.models import username_key
from app.auth.queries import login_by_name
from app.auth.service import end_revived_access
from app.cli import diagnosis, versions
from app.cli.database import database_of
from app.cli.errors import CommandError
from app.cli.output import print_rows
from app.core import clock
from app.core.addresses import without_password
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.migrations import head_revision, schema_state
from app.core.database.models import Base
from app.core.database.rows import Row
from app.core.http.problems import field_errors
from app.core.idempotency.store import IdempotencyKey
from app.features import PORTS
from app.projects.queries import projects_without_active_owner
from app.tasks.queries import wrong_counts, wrong_lists, wrong_trees

P = ParamSpec("P")


def run(
    settings: Settings,
    action: Callable[Concatenate["AdminContext", P], Awaitable[None]],
    *arguments: P.args,
    **options: P.kwargs,
) -> None:
    """Do one thing on the configured database."""
    gc.enable()

    async def act() -> None:
        async with _admin_context(settings.model_copy(update={"database_url": url})) as context:
            await action(context, *arguments, **options)

    try:
        with database_of(settings) as url:
            asyncio.run(act())
    except ValidationError as error:
        said = (
            f"{each['pointer'].strip('/').replace('_', ' ')} {each['detail']}"
            for each in field_errors(error, None, "body")
        )
        raise CommandError(f"The {'; the '.join(said)}.") from None


def patient(settings: Settings) -> Settings:
    """Return the settings for what reads or writes large tables as a whole: a statement may take an hour."""
    return settings.model_copy(update={"statement_timeout": 3600.0})


async def create_user(context: "AdminContext", *, username: str, email: str | None, is_admin: bool) -> None:
    """`taller users create`."""
    new = Registration(username=username, email=email, password=_read_password())
    user = await accounts.create_account(context.authentication, context.database, new, is_superuser=is_admin)
    click.echo(f"created {user['username']} ({user['id']})")


async def list_users(context: "AdminContext", *, as_json: bool) -> None:
    """`taller users list`."""
    columns = {
        "id": "ID",
        "username": "USERNAME",
        "email": "EMAIL",
        "is_superuser": "ADMIN",
        "is_active": "ACTIVE",
        "created_at": "CREATED",
    }
    print_rows(await context.database.fetch_all(account_queries.all_users()), columns, as_json=as_json)


async def change_user(context: "AdminContext", *, username: str, done: str, changes: Mapping[str, bool]) -> None:
    """Change an account as an administrator would; `done` says so of the username."""
    user = await context.user(username)
    await accounts.update_user(
        context.authentication, context.database, user["id"], UserUpdate.model_validate(changes), caller=None
    )
    click.echo(done.format(user["username"]))


async def set_password(context: "AdminContext", *, username: str) -> None:
    """`taller users set-password`."""
    user = await context.user(username)
    password = Registration(username="placeholder", password=_read_password()).password
    await accounts.set_password(context.authentication, context.database, user["id"], user["username"], password)
    click.echo(f"set the password of {user['username']} and ended all sessions")


async def create_key(
    context: "AdminContext",
    *,
    username: str,
    name: str,
    scopes: Sequence[str],
    days: int | None,
    project_id: UUID | None,
) -> None:
    """`taller keys create`."""
    user = await context.user(username)
    ends = None if days is None else clock.now() + timedelta(days=days)
    new = ApiKeyCreate(name=name, scopes=list(scopes), expires_at=ends, project_id=project_id)
    key = await api_keys.create_api_key(
        context.database,
        user["id"],
        new,
        limit=context.authentication.settings.max_api_keys,
        project_visible=PORTS.project_visible,
        caller=None,
    )
    click.echo(f"{key['id']}\t{key['secret']}")


async def list_keys(context: "AdminContext", *, username: str | None, as_json: bool) -> None:
    """`taller keys list`."""
    columns = {
        "id": "ID",
        "username": "USER",
        "name": "NAME",
        "prefix": "BEGINS",
        "scopes": "SCOPES",
        "project_id": "PROJECT",
        "expires_at": "EXPIRES",
        "last_used_at": "LAST USED",
    }
    user_id = None if username is None else (await context.user(username))["id"]
    print_rows(await context.database.fetch_all(key_queries.keys_of(user_id)), columns, as_json=as_json)


async def revoke_key(context: "AdminContext", *, key_id: str | None) -> None:
    """`taller keys revoke`."""
    key = await api_keys.revoke_any_api_key(context.database, _key_id(key_id) or _read_secret("API key: "))
    click.echo(f"revoked {key['name']} ({key['id']})")


async def doctor(context: "AdminContext") -> None:
    """`taller doctor`: say what this is, then everything that is wrong."""
    settings, database = context.authentication.settings, context.database
    schema = await schema_state(database)
    click.echo(f"version: {__version__}")
    only = "" if schema.is_writable else ", the database is read only"
    click.echo(f"schema: {schema.revision or 'none'} ({schema.state}{only})")
    connections = settings.database_pool_size + settings.by_value_pool_size
    click.echo(f"workers: {settings.workers}, each with up to {connections} connections")
    click.echo(f"database: {without_password(settings.database_url or '')}")
    if schema.state == "behind":
        raise CommandError(f"The schema is behind, this release needs {head_revision()}: run `taller migrate`.")
    # The rest may take long, in a large database.
    findings = {
        "clock": await diagnosis.clock_findings(database),
        # PgBouncer opens its own, as many as it is told to.
        "connections": [] if settings.pgbouncer else await diagnosis.connection_findings(database, settings),
        "indexes": await diagnosis.index_findings(database, Base.metadata, complete=schema.state == "current"),
        "references": await diagnosis.reference_findings(database, Base.metadata),
        "task counts": [_told(row) for row in await database.fetch_all(wrong_counts())],
        "task lists": [_told(row) for row in await database.fetch_all(wrong_lists())],
        "task trees": [_told(row) for row in await database.fetch_all(wrong_trees())],
    }
    if settings.database_replica_url is not None and schema.is_writable:
        findings["replica"] = await diagnosis.replica_findings(settings, database)
    for subject, found in findings.items():
        click.echo(f"{subject}: {'wrong' if found else 'right'}")
        for line in found:
            click.echo(f"  {line}")
    # Nothing is wrong with those, but only an administrator can give them to somebody.
    for row in await database.fetch_all(projects_without_active_owner()):
        click.echo(f"no active owner: project_id={row['id']}")
    if wrong := [subject for subject, found in findings.items() if found]:
        raise CommandError(f"Wrong: {', '.join(wrong)} (see above, and docs/operations.md).")


def _told(row: Row) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items())


async def complete_restore(context: "AdminContext", *, revoke_keys: bool | None) -> None:
    """`taller restored`: all in one transaction, which may be repeated."""
    if (await schema_state(context.database)).state == "behind":
        raise CommandError("The schema is behind: run `taller migrate` first.")
    if revoke_keys is None:
        revoke_keys = _asked_for_keys()
    async with context.database.transaction() as transaction:
        base = await versions.renew(transaction)
        ended = await end_revived_access(transaction, revoke_keys=revoke_keys)
        answers = len(await transaction.fetch_all(delete(IdempotencyKey).returning(literal(1))))
    click.echo(f"tags: states are numbered from {base} on, so that no tag of before names another state")
    click.echo("ended: " + ", ".join(f"{count} {name}" for name, count in ended.items()))
    click.echo(f"forgotten: {answers} answers to requests with an Idempotency-Key")
    if not revoke_keys:
        click.echo("kept: all API keys; revoke those that had been revoked (`taller keys revoke`)")
    click.echo(
        "not known here: accounts that were deactivated and passwords that were changed after the backup was made"
    )


class AdminContext:
    """What the commands work with."""

    def __init__(self, authentication: Authentication, database: Database) -> None:
        self.authentication = authentication
        self.database = database

    async def user(self, username: str) -> Row:
        """Return the account with this username, active or not."""
        row = await self.database.fetch_one_or_none(login_by_name(), {"username_key": username_key(username)})
        if row is None:
            raise UserNotFoundError(f"There is no user {username}.")
        return row


@asynccontextmanager
async def _admin_context(settings: Settings) -> AsyncGenerator[AdminContext]:
    database = Database(settings)
    try:
        yield AdminContext(Authentication(settings, database), database)
    finally:
        await database.close()


def _read_password() -> str:
    password = _read_secret("Password: ")
    if sys.stdin.isatty() and getpass.getpass("Again: ") != password:
        raise CommandError("The passwords do not match.")
    return password


def _read_secret(prompt: str) -> str:
    """Asked for on a terminal, else the first line of the input. Never an argument: others can read those."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def _asked_for_keys() -> bool:
    question = "API keys that were revoked after the backup was made are valid again. Revoke all API keys? [yes/no] "
    if not sys.stdin.isatty():
        raise CommandError("Decide what happens to the API keys: --revoke-keys or --keep-keys.")
    while (answer := input(question).strip().lower()) not in {"yes", "no"}:
        pass
    return answer == "yes"


def _key_id(argument: str | None) -> UUID | None:
    try:
        return None if argument is None else UUID(argument)
    except ValueError:
        # It may be a secret, which is not said again.
        raise CommandError(
            "This is not the id of an API key. Never pass a secret as an argument, which others can read: run "
            "`taller keys revoke` without one, and enter the secret or send it to standard input."
        ) from None
