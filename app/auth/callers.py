"""The cache of callers: it resolves a token to a caller, in the common case without a statement.

Each process caches the callers that it has authenticated. Triggers record in `access_changes` every session, key and
account whose rights change. A watcher in each process polls that table every second or two and invalidates those
callers, so that a token that was revoked in one worker is refused in all within `TALLER_REVOCATION_DELAY` seconds.
While the watcher cannot read the table, the cache is not used and every request queries the database; afterwards the
cache starts empty. docs/decisions/0023-decisions-stay.md says why no change is missed.
"""

import logging
from datetime import datetime, timedelta
from math import inf
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
from app.core.database.rows import Row
from app.core.database.statements import compiled, param
from app.core.errors import UnavailableError
from app.core.metrics import Counter, Gauge, number_of
from app.core.periodic import PeriodicTask

logger = logging.getLogger(__name__)

_LOOKUPS = Counter("taller_caller_cache_lookups", "Callers that were looked up in the cache.", ["result"])
_HITS, _MISSES = number_of(_LOOKUPS.labels("hit")), number_of(_LOOKUPS.labels("miss"))
_CACHED = Gauge("taller_caller_cache_callers", "Callers in the caches of all workers.", multiprocess_mode="livesum")

WATCHER = "access-watcher"
"""The name of the background task."""

MAX_CACHED = 10_000
"""Callers; the least recently used is evicted first. About 10 MB when full."""

KEEP_CHANGES = 600.0
"""Seconds for which changes are kept after they are visible to every poll. Longer than any `TALLER_REVOCATION_DELAY`,
after which a process that could not poll empties its cache."""

KEEP_ENDED = timedelta(days=30)
"""How long an ended session or key is kept, so that an error can tell its holder what happened to it."""

PURGE_RULES = queries.purge_rules(keep_ended=KEEP_ENDED)
"""The rules by which the purger deletes these rows."""


class CallerCache:
    """Maps tokens to callers; one instance for each process."""

    def __init__(self, authentication: Authentication, database: Database) -> None:
        self._authentication = authentication
        self._database = database
        self._delay = authentication.settings.revocation_delay
        self._cached: BoundedDict[str, Caller] = BoundedDict(MAX_CACHED)
        self._invalidations = 0
        """The number of invalidations. If it changes during a lookup, the result may be stale and is not cached."""

        self._used_keys: set[UUID] = set()
        # Two polls and one slow query fit into the promised delay.
        self.watching = PeriodicTask(
            WATCHER,
            self._watch,
            every=self._delay * 0.4,
            failure="cannot read access changes",
            last=self._record_use,
        )
        self._position: int | None = None
        """Where the next poll begins (`queries.access_changes`)."""

        self._server: datetime | None = None
        """The start time of the server to which that position belongs."""

        self._kept_from: tuple[float, int] | None = None
        """When an earlier poll began, and its position: changes before it are deleted after `KEEP_CHANGES`."""

    def get(self, token: str) -> Caller | None:
        """Return the cached caller of a token, or None if there is none or the entry may be stale."""
        caller = self._cached.get(token)
        if caller is None:
            return None
        now = clock.elapsed()
        if now >= caller.cached_until or now - self.watching.last_success >= self._delay:
            return None
        self._cached.move_to_end(token)
        _HITS.inc()
        if caller.method == "api_key":
            self._used_keys.add(caller.source_id)
        return caller

    async def authenticate(self, token: str) -> Caller:
        """Return the caller of an access token or API key, read from the database.

        Raises `InvalidTokenError`, or the subclass that tells the holder of a key what happened to it.
        """
        _MISSES.inc()
        invalidations = self._invalidations
        # A token that is refused leaves the cache at once, without waiting for the watcher.
        self._cached.pop(token, None)
        caller = await (self._key if token.startswith(API_KEY_PREFIX) else self._session)(token)
        # Not cached before the password is chosen: that may happen in another worker, and the person would have to wait
        # until this one has polled the change.
        if invalidations == self._invalidations and not caller.must_choose_password:
            self._cached.put(token, caller)
        if caller.method == "api_key":
            self._used_keys.add(caller.source_id)
        return caller

    def report(self) -> None:
        """Set the gauges of this cache."""
        _CACHED.set(len(self._cached))

    def invalidate(self, *subjects: UUID) -> None:
        """Remove the callers with these sessions, keys or users from the cache, because their rights have changed."""
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
            # Of the driver's class, which writes it into statements in a third of the time.
            user_id=row["user_id"],
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
        # A position is meaningless on another server, and on the same one after a crash lost unwritten transactions.
        if started - self.watching.last_success >= self._delay or row["server"] != self._server:
            self.invalidate(EVERYBODY)
            self._kept_from = None
        elif row["subjects"]:
            self.invalidate(*row["subjects"])
        self._position, self._server = row["position"], row["server"]
        await self._delete_changes(started, row)

    async def _delete_changes(self, started: float, reading: Row) -> None:
        """Delete the changes that every process has polled, or missed for so long that it has emptied its cache."""
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
        # Keys whose row is locked are skipped until the next poll: a poll that waits for a lock sees no changes.
        keys = queries.keys_to_note(used)
        try:
            await self._database.execute(update(ApiKey).where(ApiKey.id.in_(keys)).values(last_used_at=func.now()))
        except Exception as error:  # noqa: BLE001 - the database may be gone, and this is only a convenience
            logger.warning("could not record the last use of API keys: %s", error)


@compiled
def _delete_changes_before() -> Executable:
    return deletion(PurgeRule(AccessChange, AccessChange.transaction_id < param("position", BigInteger)))
