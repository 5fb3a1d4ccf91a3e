"""fastapi-users, fitted to this service: where users are kept, how passwords are checked, what a token says.

The library is used without its SQLAlchemy adapter (docs/decisions/0003-fastapi-users-without-its-adapter.md).
"""

from typing import Any, Protocol
from uuid import UUID

import jwt
from anyio import CapacityLimiter, to_thread
from fastapi_users import BaseUserManager, UUIDIDMixin
from fastapi_users.authentication import JWTStrategy
from fastapi_users.db import BaseUserDatabase
from fastapi_users.exceptions import UserNotExists
from fastapi_users.jwt import decode_jwt, generate_jwt
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import update

from app.auth import queries
from app.auth.models import User
from app.auth.scopes import AuthUser
from app.core.config import Settings
from app.core.database import Database, Rows

AUDIENCE = ["taller"]
ISSUER = "taller"


class LoginCredentials(Protocol):
    """What `authenticate` needs of a login."""

    username: str
    password: str


class UserDatabase(BaseUserDatabase[AuthUser, UUID]):
    """Where fastapi-users finds people. What it calls an e-mail is our login name."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, id: UUID) -> AuthUser | None:  # noqa: A002 - the library's name
        """The person with this id."""
        return await self._one(queries.user_by_id(id))

    async def get_by_email(self, email: str) -> AuthUser | None:
        """The person with this login name."""
        return await self._one(queries.user_by_login(email))

    async def update(self, user: AuthUser, update_dict: dict[str, Any]) -> AuthUser:
        """Change columns of a person; one statement, so committed when this returns."""
        await self.database.rows(update(User).where(User.id == user.id).values(update_dict))
        for name, value in update_dict.items():
            setattr(user, name, value)
        return user

    async def _one(self, statement: Rows) -> AuthUser | None:
        row = await self.database.row(statement)
        return None if row is None else AuthUser(**row)


class Passwords:
    """Hashing and checking passwords: Argon2id in threads, a few at a time, so that logins cannot stall the rest."""

    def __init__(self, settings: Settings) -> None:
        hasher = Argon2Hasher(
            time_cost=settings.argon2_time_cost, memory_cost=settings.argon2_memory_cost, parallelism=1
        )
        self.helper = PasswordHelper(PasswordHash((hasher,)))
        self._limiter = CapacityLimiter(settings.password_hash_concurrency)

    async def hash(self, password: str) -> str:
        """A hash to store."""
        return await to_thread.run_sync(self.helper.hash, password, limiter=self._limiter)

    async def verify(self, password: str, hashed: str) -> tuple[bool, str | None]:
        """Whether the password is right; and a new hash to store, where the old one was made with other parameters."""
        try:
            return await to_thread.run_sync(self.helper.verify_and_update, password, hashed, limiter=self._limiter)
        except UnknownHashError:
            # Not a hash: nobody signs in by it, which takes as long as a wrong password.
            await self.hash(password)
            return False, None


class UserManager(UUIDIDMixin, BaseUserManager[AuthUser, UUID]):
    """fastapi-users' manager, with hashing off the event loop."""

    def __init__(self, user_db: UserDatabase, passwords: Passwords) -> None:
        super().__init__(user_db, passwords.helper)
        self.passwords = passwords

    async def authenticate(self, credentials: LoginCredentials) -> AuthUser | None:
        """The person whose username and password these are, if active. Takes as long for an unknown name as for a
        wrong password, so that names cannot be probed.
        """
        try:
            user = await self.get_by_email(credentials.username)
        except UserNotExists:
            await self.passwords.hash(credentials.password)
            return None
        verified, new_hash = await self.passwords.verify(credentials.password, user.hashed_password)
        if not verified or not user.is_active:
            return None
        if new_hash is not None:
            await self.user_db.update(user, {"hashed_password": new_hash})
        return user


class TokenStrategy(JWTStrategy[AuthUser, UUID]):
    """What a token says: who (`sub`), by whom and for whom it was issued, and until when it holds."""

    async def write_token(self, user: AuthUser) -> str:
        """A signed token for a person."""
        claims = {"sub": str(user.id), "aud": self.token_audience, "iss": ISSUER}
        return generate_jwt(claims, self.encode_key, self.lifetime_seconds, algorithm=self.algorithm)

    async def read_token(self, token: str | None, user_manager: BaseUserManager[AuthUser, UUID]) -> AuthUser | None:
        """The active person whom a token names, or None where the token does not hold."""
        if token is None:
            return None
        try:
            claims = decode_jwt(token, self.decode_key, self.token_audience, algorithms=[self.algorithm])
            user = await user_manager.get(UUID(claims["sub"]))
        except (jwt.PyJWTError, KeyError, ValueError, UserNotExists):
            return None
        return user if user.is_active else None


class Authentication:
    """What the application needs to know who is calling; one for each process, on `app.state`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.passwords = Passwords(settings)
        self.manager = UserManager(UserDatabase(database), self.passwords)
        self.strategy = TokenStrategy(settings.jwt_secret.get_secret_value(), settings.access_token_lifetime, AUDIENCE)
        self.token_lifetime = settings.access_token_lifetime
