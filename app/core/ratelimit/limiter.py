"""How many requests a caller may send in a while (the IETF's draft-ietf-httpapi-ratelimit-headers-10).

Each process counts by itself, in windows that all processes begin at the same moment, and tells the others about once
a second (`app.core.ratelimit.sync`). docs/decisions/0018-rate-limits.md says how exact that is, and what it costs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from math import ceil
from uuid import UUID

from app.core import clock
from app.core.bounded import BoundedDict
from app.core.errors import TooManyRequestsError
from app.core.guards import DEFAULT, LOGIN, UNLIMITED
from app.core.network import Client, network_of

MAX_CALLERS = 20_000
"""Callers that a process counts under one policy at a time; beyond, the one that came first is forgotten. About
3 MB when full."""

CounterKey = int | str
"""A person or an API key by the number that their id is (a `UUID` takes longer to look up than to count), or a network
address.
"""


class FixedWindowCounter:
    """What callers have used of one policy's quota in the current window, as far as this process knows."""

    def __init__(self, name: str, requests: int, seconds: int, sync_soon: asyncio.Event) -> None:
        self._name, self._requests, self._seconds = name, requests, seconds
        self._policy = (b"ratelimit-policy", f'"{name}";q={requests};w={seconds}'.encode())
        self._remaining = f'"{name}";r=%d;t=%d'.encode()
        self._sync_soon, self._sync_soon_at = sync_soon, max(1, requests // 10)
        self._begins_at = self._ends_at = 0.0
        self._used: BoundedDict[CounterKey, int] = BoundedDict(MAX_CALLERS)
        self._pending: dict[CounterKey, int] = {}

    def consume(self, key: CounterKey) -> float:
        """Count one request; the end of the window in which it was counted. Raises `TooManyRequestsError` where none is
        left.
        """
        self._now()
        if self._used.get(key, 0) >= self._requests:
            raise self._refusal()
        self._count(key, 1)
        return self._ends_at

    def add(self, key: CounterKey) -> None:
        """Count one request, whether or not there is one left."""
        self._now()
        self._count(key, 1)

    def refund(self, key: CounterKey, ends_at: float) -> None:
        """Take back one that was counted in the window with this end, unless that is over."""
        self._now()
        if ends_at == self._ends_at:
            self._count(key, -1)

    def headers(self, key: CounterKey) -> list[tuple[bytes, bytes]]:
        """Return the policy, and what is left of it for how long."""
        left = ceil(self._ends_at - self._now())
        return [self._policy, (b"ratelimit", self._remaining % (max(0, self._requests - self._used.get(key, 0)), left))]

    def drain_pending(self) -> tuple[float, dict[CounterKey, int]]:
        """Return what the other processes do not know of yet, and when its window ends; from here on they count as
        told.
        """
        self._now()
        # Counts that were refunded to zero are skipped.
        counted = {key: number for key, number in self._pending.items() if number}
        self._pending = {}
        return self._ends_at, counted

    def restore_pending(self, ends_at: float, counted: Mapping[CounterKey, int]) -> None:
        """Count again what the others could not be told."""
        if ends_at == self._ends_at:
            for key, number in counted.items():
                self._pending[key] = self._pending.get(key, 0) + number

    def apply_total(self, ends_at: float, key: CounterKey, total: int) -> None:
        """Take over what all processes together had counted when the others were told."""
        if ends_at == self._ends_at:
            self._set(key, total + self._pending.get(key, 0))

    def storage_key(self, key: CounterKey) -> str:
        """Return what the table calls this caller."""
        return f"{self._name}/{self._seconds}:{UUID(int=key) if isinstance(key, int) else key}"

    def _now(self) -> float:
        """Return the moment, having begun its window if that is a new one."""
        now = clock.seconds()
        # The clock may also have been set back.
        if not self._begins_at <= now < self._ends_at:
            self._begins_at = now // self._seconds * self._seconds
            self._ends_at = self._begins_at + self._seconds
            self._used.clear()
            self._pending.clear()
        return now

    def _count(self, key: CounterKey, number: int) -> None:
        self._set(key, self._used.get(key, 0) + number)
        pending = self._pending
        if key in pending or len(pending) < MAX_CALLERS:
            pending[key] = waiting = pending.get(key, 0) + number
            if waiting == self._sync_soon_at:
                self._sync_soon.set()

    def _set(self, key: CounterKey, number: int) -> None:
        self._used.put(key, number)

    def _refusal(self) -> TooManyRequestsError:
        left = ceil(self._ends_at - self._now())
        return TooManyRequestsError(
            left,
            f"The policy {self._name} allows {self._requests} requests in {self._seconds} seconds: "
            f"try again in {left} seconds.",
        )


class RequestQuota:
    """What one request takes, once, from what its caller may still ask for."""

    # This keeps the client and not the ASGI scope: the scope holds this object, and the cycle would keep every request
    # alive until a garbage collection.
    __slots__ = ("_client", "_counted_until", "_counter", "_key", "_limits")

    def __init__(self, limits: "RateLimits", client: Client | None) -> None:
        self._limits, self._client = limits, client
        self._counter: FixedWindowCounter | None = None
        self._key: CounterKey | None = None
        """For whom it is counted, once that is known."""

        self._counted_until = 0.0
        """The end of the window in which it was counted; 0 where it was not."""

    def consume(self, caller: UUID) -> None:
        """Count it for whoever is signed in. Raises `TooManyRequestsError` where none is left."""
        if self._key is None:
            self._key = caller.int
            self._counter = counter = self._limits.callers
            if counter is not None:
                self._counted_until = counter.consume(self._key)

    def consume_for_address(self, policy: str) -> None:
        """Count it for the network address from which it comes, unless `UNLIMITED`. Raises `TooManyRequestsError`."""
        if self._key is None:
            self._key = network_of(self._client)
            self._counter = counter = self._limits.logins if policy == LOGIN else self._limits.callers
            if counter is not None and policy != UNLIMITED:
                self._counted_until = counter.consume(self._key)

    def headers(self, status: int, *, is_revalidated: bool = False) -> Sequence[tuple[bytes, bytes]]:
        """Return what the caller is told with the answer. A request that only found that what it named is still true is
        given back.
        """
        key, counter = self._key, self._counter
        if key is None:
            # The caller was never asked for: the request counts for its address, unless it failed by a mistake of ours.
            key, counter = network_of(self._client), self._limits.callers
            if counter is not None and status < 500:
                counter.add(key)
        if counter is None:
            return ()
        if is_revalidated and self._counted_until:
            counter.refund(key, self._counted_until)
        return counter.headers(key)


class RateLimits:
    """The policies of one process."""

    def __init__(self, policies: Mapping[str, tuple[int, int]]) -> None:
        self.sync_soon = asyncio.Event()
        """Set when a caller has used a tenth of a quota of which the other processes do not know."""

        counters = {name: FixedWindowCounter(name, *rate, self.sync_soon) for name, rate in policies.items()}
        self.callers, self.logins = counters.get(DEFAULT), counters.get(LOGIN)
        self.counters = list(counters.values())

    def quota(self, client: Client | None) -> RequestQuota:
        """For one request of a peer."""
        return RequestQuota(self, client)
