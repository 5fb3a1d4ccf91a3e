"""Periodic background tasks, which run as long as the application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from math import inf

from app.core import clock
from app.core.metrics import Gauge

_SUCCEEDED = Gauge(
    "taller_background_task_last_success_timestamp_seconds",
    "When a background task last succeeded, in Unix time; where it never has, when it was started.",
    ["task"],
    multiprocess_mode="livemin",
)
_INTERVAL = Gauge(
    "taller_background_task_interval_seconds", "Time between two runs.", ["task"], multiprocess_mode="livemax"
)

Work = Callable[[], Awaitable[object]]


@dataclass(eq=False)
class PeriodicTask:
    """Runs its work every `every` seconds, also after failures. `lifespan` starts and stops it.

    Of consecutive failures only the first is logged. After the first failure the work is retried in `retry` seconds,
    after each further one in twice as many, up to `every`.
    """

    name: str
    work: Work
    _: KW_ONLY
    every: float
    failure: str
    """What is logged of a failure, as by the module of `work`."""

    retry: float = inf
    begins: float = 0.0
    """Seconds before the first run."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends a pause early."""

    last: Work | None = None
    """Runs when the task is stopped."""

    last_success: float = field(default=-inf, init=False)
    """When the last successful run began, by `clock.elapsed`."""

    def __post_init__(self) -> None:
        self._failures = 0
        self._has_succeeded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._has_succeeded.clear()
        _SUCCEEDED.labels(self.name).set(clock.seconds())
        _INTERVAL.labels(self.name).set(max(self.every, self.begins))
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def succeeded(self, within: float) -> None:
        """Wait until the work has succeeded once, at most `within` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._has_succeeded.wait(), within)

    async def stop(self) -> None:
        """Cancel the task, and run `last`."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if self.last is not None:
            await self._try(self.last)

    async def _run(self) -> None:
        await asyncio.sleep(self.begins)
        while True:
            begun = clock.elapsed()
            if not await self._try(self.work):
                self._failures += 1
                await asyncio.sleep(pause_after(self._failures, first=self.retry, longest=self.every))
                continue
            self.last_success, self._failures = begun, 0
            _SUCCEEDED.labels(self.name).set(clock.seconds())
            self._has_succeeded.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every):
                    await self.wake.wait()
            self.wake.clear()

    async def _try(self, work: Work) -> bool:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever failed, the next run may succeed
            if not self._failures:
                logging.getLogger(self.work.__module__).warning("%s: %s", self.failure, error)
            return False
        return True


def pause_after(failures: int, *, first: float, longest: float) -> float:
    """Return the seconds to wait after so many consecutive failures: doubled after each, at most `longest`."""
    # Bounded exponent: after a long outage the power would overflow a float.
    return min(longest, first * 2.0 ** min(failures - 1, 30))
