"""From a token to a caller, without a statement in the common case.

Each process remembers the callers whom it has seen. Triggers record in `access_changes` every session, key and account
whose rights change; a watcher in each process reads that table every second or two and forgets those callers, so that
what was revoked in one worker is refused in all within `TALLER_REVOCATION_DELAY` seconds. While the watcher cannot read
the table, nobody is remembered and every request asks the database; when it can again, it begins with nobody.
docs/decisions/0023-decisions-stay.md says why nothing is missed.
"""

import logging
from datetime import datetime, timedelta
from math import inf
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Executable, func, update

from app.auth import queries
from app.auth.errors import ApiKeyExpiredError, ApiKeyRevokedError, InvalidApiKeyError, InvalidTokenError
from app.auth.manager import Authentication
from app.auth.models import EVERYBODY, AccessChange, ApiKey
from app.auth.scopes import Caller, scopes_of_key
from app.auth.tokens import API_KEY_PREFIX, hashed, is_api_key
from app.core import clock
from app.core.bounded import BoundedDict
from app.core.database.database import Database
from app.core.database.retention import PurgeRule, delete_all, deletion
from app.core.database.statements import compiled, param
from app.core.errors import UnavailableError
from app.core.periodic import PeriodicTask

logger = logging.getLogger(__name__)

WATCHER = "access-watcher"
"""The name of the background task."""

MAX_CACHED = 10_000
"""Callers; the one unused for longest is forgotten first. About 10 MB when full."""

KEEP_CHANGES = 600.0
"""Seconds for which changes are kept after every reading sees them: longer than any `TALLER_REVOCATION_DELAY`, after
which a process that could not read begins anew."""

KEEP_ENDED = timedelta(days=30)
"""How long an ended session or key is kept, so that its holder can be told what happened to it."""

PURGE_RULES = queries.purge_rules(keep_ended=KEEP_ENDED)
"""The rules by which the purger deletes these rows."""


class CallerCache:
    """Knows who is behind a token; one for each process."""

    def __init__(self, authentication: Authentication, database: Database) -> None:
        self._authentication = authentication
        self._database = database
        self._delay = authentication.settings.revocation_delay
        self._cached: BoundedDict[str, Caller] = BoundedDict(MAX_CACHED)
        self._invalidations = 0
        """How often somebody was forgotten: what was asked before may be out of date."""

        self._used_keys: set[UUID] = set()
        # Two polls and one slow query fit into the promised delay.
        self.watching = PeriodicTask(
            WATCHER,
            self._watch,
            every=self._delay * 0.4,
            failure="cannot read access changes",
            logger=logger,
            last=self._record_use,
        )
        self._position: int | None = None
        """Where the next reading begins (`queries.access_changes`)."""

        self._server: datetime | None = None
        """The run of the server on which that position holds."""

        self._kept_from: tuple[float, int] | None = None
        """The position of an earlier reading, and when it began: what lies before is deleted after `KEEP_CHANGES`."""

    def get(self, token: str) -> Caller | None:
        """Return the caller behind a token that was seen before, unless something may have changed since."""
        caller = self._cached.get(token)
        if caller is None:
            return None
        now = clock.elapsed()
        if now >= caller.cached_until or now - self.watching.last_success >= self._delay:
            return None
        self._cached.move_to_end(token)
        if caller.method == "api_key":
            self._used_keys.add(caller.source_id)
        return caller

    async def authenticate(self, token: str) -> Caller:
        """Return the caller behind an access token or API key, by asking the database.

        Raises `InvalidTokenError` or a more telling kind of it: what became of a key is told to whoever holds it.
        """
        invalidations = self._invalidations
        # Whoever is refused is remembered no longer, whatever the watcher knows.
        self._cached.pop(token, None)
        caller = await (self._key if token.startswith(API_KEY_PREFIX) else self._session)(token)
        # Another worker may hear of the password that is chosen: nobody has to wait until this one knows of it, too.
        if invalidations == self._invalidations and not caller.must_choose_password:
            self._cached.put(token, caller)
        if caller.method == "api_key":
            self._used_keys.add(caller.source_id)
        return caller

    def invalidate(self, *subjects: UUID) -> None:
        """Ask the database anew about these sessions, keys or people: their rights have changed."""
        self._invalidations += 1
        changed = set(subjects)
        if EVERYBODY in changed:
            self._cached.clear()
        for token, caller in list(self._cached.items()):
            if caller.source_id in changed or caller.user_id in changed:
                del self._cached[token]

    async def _session(self, token: str) -> Caller:
        claims = self._authentication.access_tokens.claims(token)
        if claims is None:
            raise InvalidTokenError
        asked_at = clock.elapsed()
        row = await self._database.fetch_one_or_none(queries.live_session(), {"session_id": claims.session_id})
        if row is None or row["user_id"] != claims.user_id:
            raise InvalidTokenError
        return Caller(
            user_id=claims.user_id,
            is_superuser=row["is_superuser"],
            method="session",
            source_id=claims.session_id,
            must_choose_password=row["must_choose_password"],
            expires_at=min(claims.expires_at, row["expires_at"].timestamp()),
            cached_until=asked_at + min(claims.expires_at - clock.seconds(), row["seconds_left"]),
        )

    async def _key(self, token: str) -> Caller:
        if not is_api_key(token):
            raise InvalidApiKeyError
        asked_at = clock.elapsed()
        row = await self._database.fetch_one_or_none(queries.api_key_by_hash(), {"secret_hash": hashed(token)})
        if row is None or not row["is_active"]:
            raise InvalidApiKeyError
        if row["revoked_at"] is not None:
            raise ApiKeyRevokedError
        seconds_left = inf if row["seconds_left"] is None else row["seconds_left"]
        if seconds_left <= 0:
            raise ApiKeyExpiredError
        return Caller(
            user_id=row["user_id"],
            is_superuser=row["is_superuser"],
            method="api_key",
            source_id=row["id"],
            expires_at=None if row["expires_at"] is None else row["expires_at"].timestamp(),
            scopes=scopes_of_key(row["scopes"], row["project_id"]),
            project_id=row["project_id"],
            cached_until=asked_at + seconds_left,
        )

    async def _watch(self) -> None:
        await self._read_changes()
        await self._record_use()

    async def _read_changes(self) -> None:
        started = clock.elapsed()
        row = await self._database.fetch_one_or_none(queries.access_changes(), {"since": self._position})
        assert row is not None
        if row["is_standby"]:
            raise UnavailableError("This database server is a standby and may be behind.")
        # A position means nothing to another server, nor to the same one after it lost what was not written yet.
        if started - self.watching.last_success >= self._delay or row["server"] != self._server:
            self.invalidate(EVERYBODY)
            self._kept_from = None
        elif row["subjects"]:
            self.invalidate(*row["subjects"])
        self._position, self._server = row["position"], row["server"]
        await self._delete_changes(started, row)

    async def _delete_changes(self, started: float, reading: dict[str, Any]) -> None:
        """Delete the changes that every process has seen, or has missed for so long that it begins anew."""
        if self._kept_from is None:
            self._kept_from = started, reading["position"]
        since, position = self._kept_from
        if started - since >= KEEP_CHANGES:
            await delete_all(self._database, _delete_changes_before(), {"position": position})
            self._kept_from = None

    async def _record_use(self) -> None:
        used, self._used_keys = self._used_keys, set()
        if not used:
            return
        # A key that somebody is changing is left for another time: whoever waits for it does not see what changes.
        keys = queries.keys_to_note(used)
        try:
            await self._database.execute(update(ApiKey).where(ApiKey.id.in_(keys)).values(last_used_at=func.now()))
        except Exception as error:  # noqa: BLE001 - the database may be gone, and this is only a convenience
            logger.warning("could not record the last use of API keys: %s", error)


@compiled
def _delete_changes_before() -> Executable:
    return deletion(PurgeRule(AccessChange, AccessChange.transaction_id < param("position", BigInteger)))
