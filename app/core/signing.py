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
        # Copied for each MAC: `hmac.digest` looks up the algorithm anew.
        self._keyed = [hmac.new(value.encode(), digestmod="sha256") for value in self._by_id.values()]
        self.current = values[0]
        """The secret for new signatures."""

        self.current_id = _key_id(self.current)

    def get(self, key_id: object) -> str | None:
        """Return the secret of this id, if it is still in the ring."""
        return self._by_id.get(key_id) if isinstance(key_id, str) else None

    def macs(self, purpose: bytes, message: bytes) -> Sequence[bytes]:
        """Return the MAC of a message under each secret, the newest first."""
        macs = [keyed.copy() for keyed in self._keyed]
        for mac in macs:
            mac.update(purpose + b"\0" + message)
        return [mac.digest() for mac in macs]


def _key_id(secret: str) -> str:
    return hashlib.sha256(b"kid\0" + secret.encode()).hexdigest()[:12]
