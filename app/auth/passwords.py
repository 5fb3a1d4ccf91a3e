"""Hashing, checking and judging passwords."""

import secrets
import string
from pathlib import Path
from unicodedata import normalize

from anyio import to_thread
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core.concurrency import ConcurrencyLimit
from app.core.config import Settings
from app.core.errors import InvalidRequestError

MIN_LENGTH, MAX_LENGTH = 8, 256
"""Characters. The maximum bounds what one login may cost."""

MAX_SENT_LENGTH = 4 * MAX_LENGTH
"""Characters that these may be on the way: a keyboard may send a letter and each of its marks one by one."""

_SPACES = {ord(space): " " for space in "\u00a0\u1680\u202f\u205f\u3000"} | dict.fromkeys(range(0x2000, 0x200B), " ")

_ONE_TIME_LENGTH = 16
_ONE_TIME_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))

COMMON = frozenset(Path(__file__).with_name("common_passwords.txt").read_text().split())
"""The common passwords that are long enough to be tried here; guessing starts with them."""


class Passwords:
    """Hashing and checking: Argon2id in threads, a few at a time, so that logins cannot stall the rest."""

    def __init__(self, settings: Settings) -> None:
        hasher = Argon2Hasher(
            time_cost=settings.argon2_time_cost, memory_cost=settings.argon2_memory_cost, parallelism=1
        )
        self.helper = PasswordHelper(PasswordHash((hasher,)))
        self.limit = ConcurrencyLimit(
            settings.password_hash_concurrency,
            waiting=settings.password_queue,
            timeout=settings.password_timeout,
            refusal="Too many users are signing in: try again in a moment.",
        )

    async def hash(self, password: str) -> str:
        """Return a hash to store. Raises `UnavailableError` where too many others wait."""
        async with self.limit:
            return await to_thread.run_sync(self.helper.hash, normalised_password(password))

    async def verify(self, password: str, hashed: str) -> tuple[bool, str | None]:
        """Return whether the password is right; and a new hash to store, where the old one was made with other
        parameters. Raises `UnavailableError` where too many others wait.
        """
        first, *others = _candidates(password)
        verified, new_hash = await self._verify(first, hashed)
        for other in others:
            if not verified and (await self._verify(other, hashed))[0]:
                verified, new_hash = True, await self.hash(password)
        return verified, new_hash

    async def dummy_verify(self, password: str) -> None:
        """Take as long as `verify` takes to find a password wrong."""
        for candidate in _candidates(password):
            await self.hash(candidate)

    async def _verify(self, password: str, hashed: str) -> tuple[bool, str | None]:
        try:
            async with self.limit:
                return await to_thread.run_sync(self.helper.verify_and_update, password, hashed)
        except UnknownHashError:
            # Not a hash: nobody signs in by it, which takes as long as a wrong password.
            await self.hash(password)
            return False, None


def normalised_password(password: str) -> str:
    """Return a password as it is hashed (RFC 8265, OpaqueString): in NFC, and every space is a plain one. Keyboards
    send the same letters in different forms.
    """
    return password if password.isascii() else normalize("NFC", password.translate(_SPACES))


def _candidates(password: str) -> list[str]:
    """Return what may have been hashed of a password: at first, it was what the keyboard had sent."""
    return list(dict.fromkeys((normalised_password(password), password)))


def one_time_password() -> str:
    """Return a password to hand over: 16 characters (93 bits) that are not mistaken for each other."""
    return "".join(secrets.choice(_ONE_TIME_ALPHABET) for _ in range(_ONE_TIME_LENGTH))


def refuse_weak(password: str, username: str, *, pointer: str = "/password") -> None:
    """Raise `InvalidRequestError` for a password that is the username, or among the first that are guessed."""
    lowered = normalised_password(password).casefold()
    if lowered == username.casefold():
        raise InvalidRequestError.at("must not be the username", "password_is_username", pointer=pointer)
    if lowered in COMMON:
        raise InvalidRequestError.at("must not be one of the most common passwords", "password_common", pointer=pointer)
