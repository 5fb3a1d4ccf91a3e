"""Adapters of fastapi-users: where users are stored, how passwords are checked, which claims a token has.

The library is used without its SQLAlchemy adapter (docs/decisions/0003-fastapi-users-without-its-adapter.md).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from fastapi_users import BaseUserManager, UUIDIDMixin
from fastapi_users.authentication import JWTStrategy
from fastapi_users.db import BaseUserDatabase
from fastapi_users.exceptions import UserNotExists
from sqlalchemy import update

from app.auth import queries
from app.auth.models import User, username_key
from app.auth.passwords import Passwords
from app.auth.tokens import ALGORITHM, AUDIENCE, AccessClaims, issue_access_token, read_access_token
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.statements import Statement
from app.core.signing import KeyRing


@dataclass(slots=True)
class AuthUser:
    """A user as fastapi-users needs one. A plain object: an ORM class does not satisfy the library's protocol."""

    id: UUID
    username: str
    email: str
    """Empty for most; the library's protocol does not allow None, our schemas do."""

    hashed_password: str
    password_state: str
    is_active: bool
    is_superuser: bool
    created_at: datetime
    is_verified: bool = True


class LoginCredentials(Protocol):
    """The credentials that `authenticate` needs."""

    username: str
    password: str


class UserDatabase(BaseUserDatabase[AuthUser, UUID]):
    """The storage of users for fastapi-users. The library's e-mail is our username."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, id: UUID) -> AuthUser | None:  # noqa: A002 - the library's name
        """Return the user with this id."""
        return await self._one(queries.login_by_id(), {"user_id": id})

    async def get_by_email(self, email: str) -> AuthUser | None:
        """Return the user with this username."""
        return await self._one(queries.login_by_name(), {"username_key": username_key(email)})

    async def update(self, user: AuthUser, update_dict: dict[str, Any]) -> AuthUser:
        """Update columns of a user in one statement, which is committed when this returns."""
        # Not if somebody has set another password since this user was read.
        unchanged = (User.id == user.id) & (User.hashed_password == user.hashed_password)
        if (
            await self.database.fetch_one_or_none(update(User).where(unchanged).values(update_dict).returning(User.id))
            is not None
        ):
            for name, value in update_dict.items():
                setattr(user, name, value)
        return user

    async def _one(self, statement: Statement, parameters: dict[str, Any]) -> AuthUser | None:
        row = await self.database.fetch_one_or_none(statement, parameters)
        return None if row is None else AuthUser(**row)


class UserManager(UUIDIDMixin, BaseUserManager[AuthUser, UUID]):
    """fastapi-users' manager, with hashing off the event loop."""

    def __init__(self, user_db: UserDatabase, passwords: Passwords) -> None:
        super().__init__(user_db, passwords.helper)
        self.passwords = passwords

    async def authenticate(self, credentials: LoginCredentials) -> AuthUser | None:
        """Return the active user with these credentials, or None. An unknown username takes as long as a wrong
        password, so that response times reveal no usernames.
        """
        try:
            user = await self.get_by_email(credentials.username)
        except UserNotExists:
            await self.passwords.dummy_verify(credentials.password)
            return None
        return user if await self.check_password(user, credentials.password) and user.is_active else None

    async def check_password(self, user: AuthUser, password: str) -> bool:
        """Return whether this is the user's password. Rehash it if the hash was made with other parameters."""
        verified, new_hash = await self.passwords.verify(password, user.hashed_password)
        if verified and new_hash is not None:
            await self.user_db.update(user, {"hashed_password": new_hash})
        return verified


class AccessTokens(JWTStrategy[AuthUser, UUID]):
    """fastapi-users' strategy for access tokens: signed with the current key, valid while their session lasts."""

    def __init__(self, ring: KeyRing, lifetime: int) -> None:
        super().__init__(ring.current, lifetime, [AUDIENCE], ALGORITHM)
        self.ring = ring
        self.lifetime = lifetime

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        """Return a token for a session. The library's `write_token` knows no sessions."""
        return issue_access_token(self.ring, user_id, session_id, self.lifetime)

    def claims(self, token: str) -> AccessClaims | None:
        """Return the claims of a token, or None if it is invalid. The library's `read_token` would fetch the user for
        every request; `app.auth.callers` caches the callers instead.
        """
        return read_access_token(self.ring, token)


class Authentication:
    """The services that authentication needs; one instance for each process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.ring = KeyRing(settings)
        self.passwords = Passwords(settings)
        self.manager = UserManager(UserDatabase(database), self.passwords)
        # An access token never outlasts its session, even if the session is not refreshed.
        lifetime = min(settings.access_token_lifetime, settings.refresh_token_lifetime)
        self.access_tokens = AccessTokens(self.ring, lifetime)
