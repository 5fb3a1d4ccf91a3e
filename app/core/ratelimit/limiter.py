"""Fixed-window rate limits with the headers of the IETF's draft-ietf-httpapi-ratelimit-headers-10.

Each process counts in memory, in windows that begin at the same moment in all processes, and exchanges its counts with
the others about once a second (`app.core.ratelimit.sync`). docs/decisions/0018-rate-limits.md has the precision and
cost.
"""

import asyncio
from collections.abc import Mapping
from math import ceil
from uuid import UUID

from app.core import clock
from app.core.bounded import BoundedDict
from app.core.errors import TooManyRequestsError
from app.core.guards import DEFAULT, LOGIN, UNLIMITED
from app.core.metrics import Counter
from app.core.network import Client, network_of

MAX_CALLERS = 20_000
"""Callers that a process counts under one policy; beyond it, the oldest is evicted. About 3 MB when full."""

_REFUSALS = Counter("taller_rate_limit_refusals", "Requests that a rate limit refused.", ["policy"])

CounterKey = int | str
"""A user or API key by the integer of its id (hashing a `UUID` takes longer than counting), or a network address."""


class FixedWindowCounter:
    """The requests of each caller in the current window of one policy, as far as this process knows."""

    def __init__(self, name: str, requests: int, seconds: int, sync_soon: asyncio.Event) -> None:
        self._name, self._requests, self._seconds = name, requests, seconds
        self._policy = f'ratelimit-policy: "{name}";q={requests};w={seconds}\r\nratelimit: "{name}";r='
        self._sync_soon, self._sync_soon_at = sync_soon, max(1, requests // 10)
        self._begins_at = self._ends_at = 0.0
        self._used: BoundedDict[CounterKey, int] = BoundedDict(MAX_CALLERS)
        self._pending: dict[CounterKey, int] = {}

    def consume(self, key: CounterKey) -> float:
        """Count one request, and return the end of its window. Raises `TooManyRequestsError`."""
        self._now()
        used = self._used.get(key, 0)
        if used >= self._requests:
            raise self._refusal()
        self._count(key, used, 1)
        return self._ends_at

    def add(self, key: CounterKey) -> None:
        """Count one request even if the quota is used up."""
        self._now()
        self._count(key, self._used.get(key, 0), 1)

    def refund(self, key: CounterKey, ends_at: float) -> None:
        """Subtract a request that was counted in the window with this end, unless that window is over."""
        self._now()
        if ends_at == self._ends_at:
            self._count(key, self._used.get(key, 0), -1)

    def headers(self, key: CounterKey) -> str:
        """Return the lines of the `RateLimit-Policy` and `RateLimit` headers."""
        left = ceil(self._ends_at - self._now())
        return f"{self._policy}{max(0, self._requests - self._used.get(key, 0))};t={left}\r\n"

    def drain_pending(self) -> tuple[float, dict[CounterKey, int]]:
        """Return the end of the window and the counts that the other processes do not have yet, and reset those."""
        self._now()
        # Counts that were refunded to zero are skipped.
        counted = {key: number for key, number in self._pending.items() if number}
        self._pending = {}
        return self._ends_at, counted

    def restore_pending(self, ends_at: float, counted: Mapping[CounterKey, int]) -> None:
        """Add the counts again that could not be exchanged."""
        if ends_at == self._ends_at:
            for key, number in counted.items():
                self._pending[key] = self._pending.get(key, 0) + number

    def apply_total(self, ends_at: float, key: CounterKey, total: int) -> None:
        """Set a caller's count to the total of all processes, plus what is still pending here."""
        if ends_at == self._ends_at:
            self._used.put(key, total + self._pending.get(key, 0))

    def storage_key(self, key: CounterKey) -> str:
        """Return the caller's name in the table of counts."""
        return f"{self._name}/{self._seconds}:{UUID(int=key) if isinstance(key, int) else key}"

    def _now(self) -> float:
        """Return the current time, and begin a new window if the last one is over."""
        now = clock.seconds()
        # The clock may also have been set back.
        if not self._begins_at <= now < self._ends_at:
            self._begins_at = now // self._seconds * self._seconds
            self._ends_at = self._begins_at + self._seconds
            self._used.clear()
            self._pending.clear()
        return now

    def _count(self, key: CounterKey, used: int, number: int) -> None:
        if key in self._used:
            self._used[key] = used + number
        else:
            self._used.put(key, number)
        pending = self._pending
        if key in pending or len(pending) < MAX_CALLERS:
            pending[key] = waiting = pending.get(key, 0) + number
            if waiting == self._sync_soon_at:
                self._sync_soon.set()

    def _refusal(self) -> TooManyRequestsError:
        left = ceil(self._ends_at - self._now())
        _REFUSALS.labels(self._name).inc()
        return TooManyRequestsError(
            left,
            f"The policy {self._name} allows {self._requests} requests in {self._seconds} seconds: "
            f"try again in {left} seconds.",
        )


class RequestQuota:
    """The rate limit for one request, which is counted once."""

    # It stores the client and not the ASGI scope: the scope holds this object, and the cycle would keep every request
    # in memory until a garbage collection.
    __slots__ = ("_client", "_counted_until", "_counter", "_key", "_limits")

    def __init__(self, limits: "RateLimits", client: Client | None) -> None:
        self._limits, self._client = limits, client
        self._counter: FixedWindowCounter | None = None
        self._key: CounterKey | None = None
        """The caller or network address against which it is counted, once that is known."""

        self._counted_until = 0.0
        """The end of the window in which it was counted; 0 if it was not."""

    def consume(self, caller: UUID) -> None:
        """Count it against a caller's quota. Raises `TooManyRequestsError` if it is used up."""
        if self._key is None:
            self._key = caller.int
            self._counter = counter = self._limits.callers
            if counter is not None:
                self._counted_until = counter.consume(self._key)

    def consume_for_address(self, policy: str) -> None:
        """Count it against its network address, unless the policy is `UNLIMITED`. Raises `TooManyRequestsError`."""
        if self._key is None:
            self._key = network_of(self._client)
            self._counter = counter = self._limits.logins if policy == LOGIN else self._limits.callers
            if counter is not None and policy != UNLIMITED:
                self._counted_until = counter.consume(self._key)

    def headers(self, status: int, *, is_revalidated: bool = False) -> str:
        """Return the lines of the headers of a response. A request that was revalidated (304) is refunded."""
        key, counter = self._key, self._counter
        if key is None:
            # The request ended before the caller was known: it counts against its address, unless the service failed.
            key, counter = network_of(self._client), self._limits.callers
            if counter is not None and status < 500:
                counter.add(key)
        if counter is None:
            return ""
        if is_revalidated and self._counted_until:
            counter.refund(key, self._counted_until)
        return counter.headers(key)


class RateLimits:
    """The rate limits of one process."""

    def __init__(self, policies: Mapping[str, tuple[int, int]]) -> None:
        self.sync_soon = asyncio.Event()
        """Set when a caller has used a tenth of a quota since the last exchange with the other processes."""

        counters = {name: FixedWindowCounter(name, *rate, self.sync_soon) for name, rate in policies.items()}
        self.callers, self.logins = counters.get(DEFAULT), counters.get(LOGIN)
        self.counters = list(counters.values())
