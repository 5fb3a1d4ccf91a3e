"""The formats of access tokens, refresh tokens and API keys. Nothing here touches the database.

- Access tokens are JWTs, issued and read through fastapi-users' strategy.
- Refresh tokens hold a session's id and its generation, with a MAC. So an old token is told from a forged one without
  storing old tokens, and a lost answer can be repeated without storing the token.
- API keys are random, start with `tlr_` for secret scanners, and end with a checksum against typing errors.
"""

import hashlib
import hmac
import secrets
import string
import struct
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt

from app.core import clock
from app.core.ids import uuid7
from app.core.signing import KeyRing

ALGORITHM = "HS256"
AUDIENCE = "taller"
ISSUER = "taller"
LEEWAY = 5
"""Seconds by which the clocks of two servers may differ."""

MAX_ACCESS_TOKEN_LENGTH = 1024
"""Characters; our tokens have about 380. Anybody may send 60 KB, which would take 5 ms to decode."""

REQUIRED_CLAIMS = ["sub", "sid", "iat", "exp", "jti", "iss", "aud"]

API_KEY_PREFIX = "tlr_"
_API_KEY_RANDOM = 36
_API_KEY_CHECK = 6
API_KEY_LENGTH = len(API_KEY_PREFIX) + _API_KEY_RANDOM + _API_KEY_CHECK
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase

REFRESH_PREFIX = "tlrr_"
_REFRESH_BODY = struct.Struct(">16sI")
_MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of a valid access token."""

    user_id: UUID
    session_id: UUID
    expires_at: float


def issue_access_token(ring: KeyRing, user_id: UUID, session_id: UUID, lifetime: int) -> str:
    """Return a signed token for a session."""
    now = clock.now()
    claims = {
        "sub": str(user_id),
        "sid": str(session_id),
        "iat": now,
        "exp": now + timedelta(seconds=lifetime),
        "jti": str(uuid7()),
        "iss": ISSUER,
        "aud": AUDIENCE,
    }
    return jwt.encode(claims, ring.current, ALGORITHM, headers={"kid": ring.current_id, "typ": "at+jwt"})


def read_access_token(ring: KeyRing, token: str) -> AccessClaims | None:
    """Return the token's claims, or None if it is invalid. The token's header does not choose the algorithm."""
    if len(token) > MAX_ACCESS_TOKEN_LENGTH:
        return None
    try:
        secret = ring.get(jwt.get_unverified_header(token).get("kid"))
        if secret is None:
            return None
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            [ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": REQUIRED_CLAIMS},
        )
        return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), float(claims["exp"]))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """The session of a refresh token, and how often it had been refreshed when the token was issued."""

    session_id: UUID
    generation: int


def issue_refresh_token(ring: KeyRing, session_id: UUID, generation: int) -> str:
    """Return the one refresh token of this session and generation."""
    body = _REFRESH_BODY.pack(session_id.bytes, generation)
    return REFRESH_PREFIX + urlsafe_b64encode(body + ring.macs(b"refresh", body)[0]).decode().rstrip("=")


def read_refresh_token(ring: KeyRing, token: str) -> RefreshClaims | None:
    """Return the token's claims, or None if this service did not issue it."""
    try:
        raw = urlsafe_b64decode(token.removeprefix(REFRESH_PREFIX) + "==")
    except ValueError:
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not token.startswith(REFRESH_PREFIX) or len(body) != _REFRESH_BODY.size:
        return None
    if not any(hmac.compare_digest(mac, valid) for valid in ring.macs(b"refresh", body)):
        return None
    session_id, generation = _REFRESH_BODY.unpack(body)
    return RefreshClaims(UUID(bytes=session_id), generation)


def new_api_key() -> str:
    """Return a new secret: 36 random characters (214 bits) and a checksum of 6 characters."""
    body = API_KEY_PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_API_KEY_RANDOM))
    return body + _checksum(body)


def is_api_key(token: str) -> bool:
    """Return whether this has the form and checksum of an API key, without asking the database."""
    return (
        len(token) == API_KEY_LENGTH
        and token.startswith(API_KEY_PREFIX)
        and token.isascii()
        and hmac.compare_digest(token[-_API_KEY_CHECK:], _checksum(token[:-_API_KEY_CHECK]))
    )


def hashed(secret: str) -> bytes:
    """Return the hash to store for a secret: SHA-256, because random secrets need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(_API_KEY_CHECK):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
