"""The `Taller-Position` header: a client that sends back the last one it got may be answered by a standby
(docs/decisions/0045-reads-from-a-standby.md).
"""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.types import Scope

from app.core.database.database import database_of
from app.core.database.replica import Position, Replica
from app.core.errors import AppError, InvalidRequestError
from app.core.metrics import Counter
from app.core.request_state import RequestState
from app.core.services import services_of

HEADER = "Taller-Position"
LATEST = "latest"
"""What a client sends that has no position yet, or is not sure of it: the primary answers."""

_NAME = HEADER.lower().encode()

_FAILURES = Counter("taller_replica_failures", "Reads that the replica did not answer, or refused.")


def position_sent(scope: Scope) -> str | None:
    """Return the position that a client has sent, as it is written; None without the header."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == _NAME), None)


async def respond(
    request: Request, state: RequestState, handle: Callable[[Request], Awaitable[Response]], *, only_reads: bool
) -> Response:
    """Return the response of a handler to a client that sends positions, and note the position that it has seen.

    `only_reads`: the standby may answer. Whatever it cannot do or refuses, the primary decides.
    """
    replica = services_of(request)[Replica]
    position = None
    if state.position != LATEST and (position := Position.read(state.position or "")) is None:
        raise InvalidRequestError.at(
            f"must be the last {HEADER} that you got, or {LATEST}", "position", parameter=HEADER
        )
    reading = None if position is None or not only_reads else replica.reading(position)
    if reading is not None:
        try:
            with database_of(request, reading):
                response = await handle(request)
        except Exception:  # noqa: BLE001 - the primary raises it again, unless it was the standby's
            _FAILURES.inc()
        else:
            state.position_seen = str(reading.visit.seen)
            return response
    try:
        response = await handle(request)
    except AppError:
        # A refusal shows something of the state as well.
        await _note_position(state, replica)
        raise
    await _note_position(state, replica)
    return response


async def _note_position(state: RequestState, replica: Replica) -> None:
    if (seen := await replica.primary_position()) is not None:
        state.position_seen = str(seen)
