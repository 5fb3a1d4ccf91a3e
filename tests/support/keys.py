"""Requests with idempotency keys, and what is promised of their answers."""

from typing import Any

from httpx2 import Response

REPLAYED = "idempotent-replayed"
KEPT_HEADERS = ("content-type", "content-length", "location")


def keyed(key: str = "k-1", **headers: str) -> dict[str, Any]:
    """Return the options of a request with this idempotency key."""
    return {"headers": {"Idempotency-Key": key, **headers}}


def assert_replay(answer: Response, first: Response) -> None:
    """Assert that a response replays the first one, byte by byte, and says so."""
    assert (answer.status_code, answer.content) == (first.status_code, first.content)
    assert [answer.headers.get(name) for name in KEPT_HEADERS] == [first.headers.get(name) for name in KEPT_HEADERS]
    assert answer.headers["etag"] == first.headers["etag"] if "etag" in first.headers else "etag" not in answer.headers
    assert (first.headers.get(REPLAYED), answer.headers[REPLAYED]) == (None, "true")
    assert answer.headers["x-request-id"] != first.headers["x-request-id"]
