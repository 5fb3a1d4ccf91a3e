"""The time, where it is not the database's to tell: what a token says, and whether that has passed."""

from datetime import UTC, datetime
from time import time


def now() -> datetime:
    """The moment, in UTC. The only clock of the application besides the database's and `time.monotonic`."""
    return datetime.now(UTC)


seconds = time
"""The same moment in seconds since 1970: a tenth of the price, for what happens on every request."""
