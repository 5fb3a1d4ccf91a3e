"""The application's clocks, for times that do not come from the database, such as the expiry of tokens."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


seconds = time.time
"""The current time in seconds since 1970. It costs a tenth of `now`, for use on every request."""

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return the seconds since a fixed moment. Changes of the system's time do not affect it, and it keeps counting
    while a virtual machine is suspended, when `time.monotonic` stops on Linux.
    """
    return time.clock_gettime(_SINCE_BOOT)
