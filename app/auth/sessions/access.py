"""Guards of sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.core.guards import LOGIN, PublicGuard
from app.core.request_state import state_of


class _RefreshGuard(PublicGuard):
    """Admits anybody; the request is counted after its token has been read (`count_refresh`)."""

    def __init__(self) -> None:
        super().__init__(LOGIN)
        self.rate_policy = None

    async def authorize(self, request: Request) -> None:
        """Count a request without a readable token for its network address."""
        count_refresh(request, None)


AnyRefresh = Depends(_RefreshGuard())
"""Marks the operation that takes a refresh token."""


def count_refresh(request: Request, session_id: UUID | None) -> None:
    """Count a refresh: against its session if the token is valid, so that others at the same address do not matter, and
    otherwise against the network address. Raises `TooManyRequestsError`.
    """
    quota = state_of(request.scope).quota
    if quota is None:
        return
    if session_id is None:
        quota.consume_for_address(LOGIN)
    else:
        quota.consume(session_id)


async def _session_id(session_id: Annotated[UUID, Path(description="The session's id.")]) -> UUID:
    return session_id


SessionId = Annotated[UUID, Depends(_session_id)]
"""The id of a session; statements look only among the caller's own sessions."""
