"""What an operator does from the command line: `taller users …`, `keys …`, `doctor` and `restored`."""

import asyncio
import getpass
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.auth.accounts import queries
from app.auth.accounts import service as accounts
from app.auth.accounts.schemas import Registration, UserUpdate
from app.auth.api_keys import service as api_keys
from app.auth.api_keys.schemas import ApiKeyCreate
from app.auth.errors import UserNotFoundError
from app.auth.manager import Authentication
from app.auth.models import username_key
from app.auth.queries import login_by_name
from app.auth.scopes import KEY_SCOPES
from app.auth.service import end_revived_access
from app.cli.database import database_of
from app.cli.errors import CommandError
from app.core import clock
from app.core.config import Settings
from app.core.database import versions
from app.core.database.database import Database
from app.core.database.migrations import schema_state
from app.core.errors import AppError, UnavailableError
from app.core.idempotency.store import drop_all
from app.core.listing.pagination import MAX_SIZE, PageParams, fetch_page
from app.features import PORTS
from app.projects.queries import projects_without_active_owner
from app.tasks.queries import wrong_counts

Action = Callable[["AdminContext", Namespace], Awaitable[None]]


def add_commands(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """Add `users`, `keys` and `doctor` to the command line."""
    users = _group(commands, "users", "create, list and change accounts")
    create = _command(users, "create", create_user, "create an account; its password is asked for or read from input")
    create.add_argument("username")
    create.add_argument("--email")
    create.add_argument("--admin", action="store_true", help="make it an administrator's")
    _command(users, "list", list_users, "list all accounts")
    for name, action, summary in (
        ("deactivate", deactivate_user, "deactivate an account and end its sessions"),
        ("promote", promote_user, "make a person an administrator"),
        ("set-password", set_password, "set a password, asked for or read from input, and end the sessions"),
    ):
        _command(users, name, action, summary).add_argument("username")

    _command(commands, "doctor", doctor, "check the schema and the kept counts; exit status 1 if something is wrong")

    after = _command(commands, "restored", complete_restore, "what has to be done once after a backup was restored")
    choice = after.add_mutually_exclusive_group()
    for flag, value, summary in (
        ("--revoke-keys", True, "revoke all API keys: also those that had been revoked and are valid again"),
        ("--keep-keys", False, "keep all API keys: also those that had been revoked and are valid again"),
    ):
        choice.add_argument(flag, dest="revoke_keys", action="store_const", const=value, help=summary)

    keys = _group(commands, "keys", "create and revoke API keys")
    create = _command(keys, "create", create_key, "create an API key and print its secret, this once")
    create.add_argument("username", help="whose rights it has")
    create.add_argument("name", help="what it is for")
    create.add_argument("--scope", action="append", required=True, choices=list(KEY_SCOPES))
    create.add_argument(
        "--days", type=int, choices=range(1, 36501), metavar="DAYS", help="how long it lasts; for ever unless given"
    )
    create.add_argument("--project", type=UUID, help="the id of the only project that it reaches")
    revoke = _command(keys, "revoke", revoke_key, "revoke an API key; its secret is asked for or read from input")
    revoke.add_argument("id", nargs="?", help="the key's id, where its secret is not at hand")


def run_admin_command(action: Action, settings: Settings, arguments: Namespace) -> None:
    """Do one thing on the configured database."""
    try:
        with database_of(settings) as url:
            asyncio.run(_run_admin_command(settings.model_copy(update={"database_url": url}), action, arguments))
    except ValidationError as error:
        refusals = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False))
        raise CommandError("; ".join(refusals)) from None
    except UnavailableError:
        raise
    except AppError as error:
        raise CommandError(error.detail) from None


async def create_user(context: "AdminContext", arguments: Namespace) -> None:
    """`taller users create`."""
    new = Registration(username=arguments.username, email=arguments.email, password=_read_password())
    user = await accounts.create_account(context.authentication, context.database, new, is_superuser=arguments.admin)
    print(f"created {user['username']} ({user['id']})")


class _Everybody:
    """The scope of commands on the server, which see every account."""

    permission = None
    parameters: Mapping[str, Any] = MappingProxyType({})

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - as every scope has it
        raise AssertionError("a list that belongs to nothing is always there")


async def list_users(context: "AdminContext", _: Namespace) -> None:
    """`taller users list`."""
    params, position = PageParams(size=MAX_SIZE, cursor=""), None
    while True:
        page = await fetch_page(context.database, queries.users, _Everybody(), params, position)
        for row in page.items:
            marks = [
                mark for mark, holds in (("admin", row["is_superuser"]), ("inactive", not row["is_active"])) if holds
            ]
            print("\t".join((str(row["id"]), row["username"], row["email"] or "-", " ".join(marks) or "-")))
        position = page.next_position
        if position is None:
            return


async def deactivate_user(context: "AdminContext", arguments: Namespace) -> None:
    """`taller users deactivate`."""
    await context.change(arguments.username, UserUpdate(is_active=False))
    print(f"deactivated {arguments.username}")


async def promote_user(context: "AdminContext", arguments: Namespace) -> None:
    """`taller users promote`."""
    await context.change(arguments.username, UserUpdate(is_superuser=True))
    print(f"made {arguments.username} an administrator")


async def set_password(context: "AdminContext", arguments: Namespace) -> None:
    """`taller users set-password`."""
    user = await context.user(arguments.username)
    password = Registration(username="placeholder", password=_read_password()).password
    await accounts.set_password(context.authentication, context.database, user["id"], user["username"], password)
    print(f"set the password of {user['username']} and ended all sessions")


async def create_key(context: "AdminContext", arguments: Namespace) -> None:
    """`taller keys create`."""
    user = await context.user(arguments.username)
    ends = None if arguments.days is None else clock.now() + timedelta(days=arguments.days)
    new = ApiKeyCreate(name=arguments.name, scopes=arguments.scope, expires_at=ends, project_id=arguments.project)
    key = await api_keys.create_api_key(
        context.database,
        user["id"],
        new,
        limit=context.authentication.settings.max_api_keys,
        project_visible=PORTS.project_visible,
        caller=None,
    )
    print(f"{key['id']}\t{key['secret']}")


async def revoke_key(context: "AdminContext", arguments: Namespace) -> None:
    """`taller keys revoke`."""
    key = await api_keys.revoke_any_api_key(context.database, _key_id(arguments.id) or _read_secret("API key: "))
    print(f"revoked {key['name']} ({key['id']})")


async def doctor(context: "AdminContext", _: Namespace) -> None:
    """`taller doctor`."""
    state, is_writable = await schema_state(context.database)
    print(f"schema: {state}" if is_writable else f"schema: {state} (the database is read only)")
    if state == "behind":
        raise CommandError("The database schema is behind: run `taller migrate`.")
    wrong = await context.database.fetch_all(wrong_counts())
    for row in wrong:
        print("\t".join(f"{name}={value}" for name, value in row.items()))
    if wrong:
        raise CommandError(f"The task counts of {len(wrong)} projects are wrong.")
    print("task counts: right")
    # Nothing is wrong with those, but only an administrator can give them to somebody.
    for row in await context.database.fetch_all(projects_without_active_owner()):
        print(f"no active owner: project_id={row['id']}")


async def complete_restore(context: "AdminContext", arguments: Namespace) -> None:
    """`taller restored`: all in one transaction, which may be repeated."""
    state, _ = await schema_state(context.database)
    if state == "behind":
        raise CommandError("The database schema is behind: run `taller migrate` first.")
    revoke_keys = _asked_for_keys() if arguments.revoke_keys is None else arguments.revoke_keys
    async with context.database.transaction() as transaction:
        # As long as it takes: there may be many sessions.
        await transaction.command("SET LOCAL statement_timeout = 0")
        base = await versions.renew(transaction)
        ended = await end_revived_access(transaction, revoke_keys=revoke_keys)
        answers = await drop_all(transaction)
    print(f"tags: states are numbered from {base} on, so that no tag of before names another state")
    print("ended: " + ", ".join(f"{count} {name}" for name, count in ended.items()))
    print(f"forgotten: {answers} answers to requests with an Idempotency-Key")
    if not revoke_keys:
        print("kept: all API keys; revoke those that had been revoked (`taller keys revoke`)")
    print("not known here: accounts that were deactivated and passwords that were changed after the backup was made")


class AdminContext:
    """What the commands work with."""

    def __init__(self, authentication: Authentication, database: Database) -> None:
        self.authentication = authentication
        self.database = database

    async def user(self, username: str) -> dict[str, Any]:
        """Return the account with this username, active or not."""
        row = await self.database.fetch_one_or_none(login_by_name(), {"username_key": username_key(username)})
        if row is None:
            raise UserNotFoundError(f"There is no user {username}.")
        return row

    async def change(self, username: str, changes: UserUpdate) -> None:
        """Change an account as an administrator would."""
        user = await self.user(username)
        await accounts.update_user(self.authentication, self.database, user["id"], changes, caller=None)


async def _run_admin_command(settings: Settings, action: Action, arguments: Namespace) -> None:
    async with _admin_context(settings) as context:
        await action(context, arguments)


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


def _group(
    commands: "_SubParsersAction[ArgumentParser]", name: str, summary: str
) -> "_SubParsersAction[ArgumentParser]":
    return commands.add_parser(name, help=summary, description=summary).add_subparsers(required=True, metavar="command")


def _command(commands: "_SubParsersAction[ArgumentParser]", name: str, action: Action, summary: str) -> ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(command=partial(run_admin_command, action))
    return parser
