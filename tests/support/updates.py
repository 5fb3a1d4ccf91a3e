"""PUT and PATCH do the same: one test says so for many requests, and the others send one of the two."""

from collections.abc import AsyncIterable, Iterable
from typing import Any

from httpx2 import Response

from app.core.database.database import Database
from tests.support.client import Api
from tests.support.queries import recorded_statements

OWN = {"id", "created_at", "updated_at", "instance", "request_id"}
"""Members that differ between two items which are alike otherwise."""


async def differences(
    api: Api, database: Database, pairs: AsyncIterable[tuple[str, str]], requests: Iterable[dict[str, Any]]
) -> list[str]:
    """Return the requests that PUT and PATCH answer differently, or with other statements.

    Each request is sent to a pair of new items that are alike.
    """
    found = []
    pair = aiter(pairs)
    for request in requests:
        answers = []
        one, other = await anext(pair)
        # From now on the caller is known, which takes a statement once.
        await api.get(one)
        for method, address in (("PUT", one), ("PATCH", other)):
            with recorded_statements(database) as statements:
                answer = await api.request(method, address, **request)
            answers.append((_seen(answer), list(statements), _seen(await api.get(address))))
        if answers[0] != answers[1]:
            found.append(f"{request}: {answers}")
    return found


def _seen(answer: Response) -> tuple[int, dict[str, Any], str | None]:
    members = {name: value for name, value in answer.json().items() if name not in OWN}
    return answer.status_code, members, answer.headers.get("etag")
