"""The secrets with which the service signs tokens and cursors."""

import hashlib
import hmac
from collections.abc import Sequence

from app.core.config import Settings


class KeyRing:
    """The signing secrets, the newest first. Older ones only verify, so that a rotation ends no session."""

    def __init__(self, settings: Settings) -> None:
        values = [secret.get_secret_value() for secret in (settings.jwt_secret, *settings.jwt_previous_secrets)]
        self._by_id = {_key_id(value): value for value in values}
        self.current_id = _key_id(values[0])

    @property
    def current(self) -> str:
        """The secret for new signatures."""
        return self._by_id[self.current_id]

    def get(self, key_id: object) -> str | None:
        """Return the secret of this id, if it is still in the ring."""
        return self._by_id.get(key_id) if isinstance(key_id, str) else None

    def mac(self, purpose: bytes, message: bytes) -> bytes:
        """Return the MAC of a message under the current secret."""
        return _mac(self.current, purpose, message)

    def macs(self, purpose: bytes, message: bytes) -> Sequence[bytes]:
        """Return the MAC of a message under each secret, the newest first."""
        return [_mac(value, purpose, message) for value in self._by_id.values()]


def _mac(secret: str, purpose: bytes, message: bytes) -> bytes:
    return hmac.digest(secret.encode(), purpose + b"\0" + message, "sha256")


def _key_id(secret: str) -> str:
    return hashlib.sha256(b"kid\0" + secret.encode()).hexdigest()[:12]
