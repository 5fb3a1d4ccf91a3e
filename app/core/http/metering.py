"""The metrics of requests."""

from bisect import bisect_left
from collections.abc import Callable

from app.core.metrics import Counter, Gauge, Histogram, Number, number_of, numbers_of

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""

UNKNOWN = "unknown"
"""The route of every path that no operation has, so that clients cannot make up labels."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_REQUESTS = Counter(
    "taller_http_requests", "Requests that were answered; status 0 without an answer.", ["route", "method", "status"]
)
_DURATION = Histogram(
    "taller_http_request_duration_seconds", "Time to answer a request.", ["route", "method"], buckets=BOUNDS
)
_IN_FLIGHT = number_of(
    Gauge("taller_http_requests_in_flight", "Requests that are being answered.", multiprocess_mode="livesum")
)
_known: dict[tuple[str, str, int], tuple[Number, Number, list[Number]]] = {}


count_begun: Callable[[], None] = _IN_FLIGHT.inc
"""Counts a request that begins."""


def count_ended(route: str | None, method: str, status: int, took: float) -> None:
    """Count a request that ends. `took`: seconds."""
    _IN_FLIGHT.inc(-1.0)
    key = (UNKNOWN if route is None else route, method, status)
    requests, seconds, buckets = _known.get(key) or _numbers(*key)
    requests.inc()
    seconds.inc(took)
    buckets[bisect_left(BOUNDS, took)].inc()


def _numbers(route: str, method: str, status: int) -> tuple[Number, Number, list[Number]]:
    shown = method if method in _METHODS else "other"
    found = (
        number_of(_REQUESTS.labels(route, shown, str(status))),
        *numbers_of(_DURATION.labels(route, shown)),
    )
    if shown == method:
        _known[route, method, status] = found
    return found
