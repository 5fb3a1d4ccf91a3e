"""Draining: after SIGTERM a process continues to serve until load balancers have stopped sending requests to it."""

import asyncio
import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

STATE_KEY = "drain"
"""Of the lifespan's state, in which the HTTP protocol finds the `Drain` of its process."""

logger = logging.getLogger(__name__)


class Drain:
    """Whether this process is about to stop: then each response closes its connection, `/health/ready` returns 503."""

    def __init__(self, delay: float) -> None:
        """`delay` is in seconds; 0 stops at once."""
        self.is_active = False
        self._delay = delay

    @contextmanager
    def delaying_sigterm(self) -> Generator[None]:
        """Delay the current handler of SIGTERM. A second SIGTERM runs it at once."""
        if not self._delay:
            yield
            return
        stop = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def begin() -> None:
            logger.info("SIGTERM: serving on for %g s while /health/ready answers 503", self._delay)
            loop.call_later(self._delay, signal.raise_signal, signal.SIGTERM)

        def on_sigterm(_number: int, _frame: FrameType | None) -> None:
            self.is_active = True
            signal.signal(signal.SIGTERM, stop)
            loop.call_soon_threadsafe(begin)

        signal.signal(signal.SIGTERM, on_sigterm)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, stop)
