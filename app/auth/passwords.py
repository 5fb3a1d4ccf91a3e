"""Passwords: hashing, verification and policy."""

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
"""Characters. The maximum bounds the cost of one login."""

MAX_SENT_LENGTH = 4 * MAX_LENGTH
"""Characters before normalisation: a keyboard may send a letter and each of its marks as characters of their own."""

_SPACES = {ord(space): " " for space in "\u00a0\u1680\u202f\u205f\u3000"} | dict.fromkeys(range(0x2000, 0x200B), " ")

_ONE_TIME_LENGTH = 16
_ONE_TIME_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))

COMMON = frozenset(Path(__file__).with_name("common_passwords.txt").read_text().split())
"""The most common passwords of at least `MIN_LENGTH` characters, with which attackers begin to guess."""


class Passwords:
    """Hashes and verifies passwords: Argon2id in threads, a few at a time, so that logins cannot block other
    requests.
    """

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
        """Return a hash to store. Raises `UnavailableError` if too many others wait."""
        async with self.limit:
            return await to_thread.run_sync(self.helper.hash, normalised_password(password))

    async def verify(self, password: str, hashed: str) -> tuple[bool, str | None]:
        """Return whether the password is right, and a new hash to store if the old one was made with other parameters.
        Raises `UnavailableError` if too many others wait.
        """
        first, *others = _candidates(password)
        verified, new_hash = await self._verify(first, hashed)
        for other in others:
            if not verified and (await self._verify(other, hashed))[0]:
                verified, new_hash = True, await self.hash(password)
        return verified, new_hash

    async def dummy_verify(self, password: str) -> None:
        """Take as long as `verify` takes for a wrong password."""
        for candidate in _candidates(password):
            await self.hash(candidate)

    async def _verify(self, password: str, hashed: str) -> tuple[bool, str | None]:
        try:
            async with self.limit:
                return await to_thread.run_sync(self.helper.verify_and_update, password, hashed)
        except UnknownHashError:
            # Not a hash: nobody can sign in with it, and finding that out takes as long as a wrong password.
            await self.hash(password)
            return False, None


def normalised_password(password: str) -> str:
    """Return a password in the form that is hashed (RFC 8265, OpaqueString): in NFC and with plain spaces, because
    keyboards send the same letters in different forms.
    """
    return password if password.isascii() else normalize("NFC", password.translate(_SPACES))


def _candidates(password: str) -> list[str]:
    """Return the forms of a password that may have been hashed: older hashes are of the form that was sent."""
    return list(dict.fromkeys((normalised_password(password), password)))


def one_time_password() -> str:
    """Return a random password of 16 characters (93 bits), without characters that look alike."""
    return "".join(secrets.choice(_ONE_TIME_ALPHABET) for _ in range(_ONE_TIME_LENGTH))


def refuse_weak(password: str, username: str, *, pointer: str = "/password") -> None:
    """Raise `InvalidRequestError` for a password that is the username or one of the most common passwords."""
    lowered = normalised_password(password).casefold()
    if lowered == username.casefold():
        raise InvalidRequestError.at("must not be the username", "password_is_username", pointer=pointer)
    if lowered in COMMON:
        raise InvalidRequestError.at("must not be one of the most common passwords", "password_common", pointer=pointer)
