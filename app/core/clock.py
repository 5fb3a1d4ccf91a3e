"""The time, where it is not the database's to tell: what a token says, and whether that has passed."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the moment, in UTC. The only clock of the application besides the database's and `time.monotonic`."""
    return datetime.now(UTC)


seconds = time.time
"""The same moment in seconds since 1970: a tenth of the price, for what happens on every request."""

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since some moment, whatever happens to the calendar's clock and while a virtual machine is suspended.

    On Linux `time.monotonic` stands still during a suspension; elsewhere it does not.
    """
    return time.clock_gettime(_SINCE_BOOT)
