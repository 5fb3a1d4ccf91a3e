"""Who may call an operation: declared on every route, checked at boot, decided before the body is looked at.

A guard is the dependency that admits a caller. On the ordinary path it only says what has to hold, and the handler's
one statement carries the condition. Where a request is refused before that statement runs (a malformed body, an unknown
parameter), `authorize` decides first, so that a stranger learns nothing from a 400.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.core.errors import AppError, TooManyRequestsError
from app.core.request_state import Known

DEFAULT, LOGIN = "default", "login"
"""The policies of the rate limits: for callers, and for what can be guessed."""

UNLIMITED = "free"
"""No policy: what is never counted."""


class Guard:
    """A dependency that admits callers. Subclasses are called by FastAPI like any dependency."""

    errors: tuple[type[AppError], ...] = ()
    """How it refuses; the OpenAPI document lists these on every operation that it guards."""

    security: Sequence[Mapping[str, list[str]]] = ()
    """The ways of signing in that it takes, and the scopes that each needs, as OpenAPI writes them."""

    needs: str = ""
    """What the caller needs, in one sentence for the documentation."""

    is_conditional: bool = False
    """Whether what it admits to depends on the request's `Preconditions`, if it has any."""

    rate_policy: str | None = None
    """The policy by which requests are counted for the network address that sends them; None where the guard identifies
    the caller, for whom they are counted then."""

    async def authenticate(self, request: Request) -> Known | None:  # noqa: ARG002 - subclasses look
        """Return who is calling, where this guard asks; refuse those who are nobody, or may not call this at all."""
        return None

    async def authorize(self, request: Request) -> None:
        """Raise what the caller is to be refused with; return if the request may be answered in detail."""
        raise NotImplementedError


def path_id(request: Request, name: str) -> UUID | None:
    """Return the id in the path, or None where it is malformed (which validation reports, to those whom `authorize`
    admits).
    """
    try:
        return UUID(request.path_params[name])
    except ValueError:
        return None


class PublicGuard(Guard):
    """Admits anybody."""

    def __init__(self, rate_policy: str = DEFAULT) -> None:
        self.rate_policy = rate_policy
        self.errors = () if rate_policy == UNLIMITED else (TooManyRequestsError,)

    async def __call__(self) -> None:
        """Let the request through."""

    async def authorize(self, request: Request) -> None:
        """Let the request be answered in detail."""


Public = Depends(PublicGuard())
"""Marks an operation that anybody may call: `dependencies=[Public]`. Being public is a decision, never an omission."""

PublicThrottled = Depends(PublicGuard(LOGIN))
"""As `Public`, for what somebody could try until it fits: under a stricter policy."""

Unmetered = Depends(PublicGuard(UNLIMITED))
"""As `Public`, for what tells whether the service works: answered however often it is asked."""


def guards_of(route: APIRoute) -> list[Guard]:
    """Return the guards of a route, outermost first."""
    return list(_guards(route.dependant))


def _guards(dependant: Dependant) -> Iterator[Guard]:
    for dependency in dependant.dependencies:
        call: object = dependency.call
        if isinstance(call, Guard):
            yield call
        yield from _guards(dependency)


class UnguardedRouteError(Exception):
    """A route admits callers that nobody decided to admit."""


def refuse_unguarded_routes(routes: Iterable[APIRoute]) -> None:
    """Stop the boot if a route has no guard."""
    for route in routes:
        if not guards_of(route):
            raise UnguardedRouteError(
                f"{sorted(route.methods or ())} {route.path} has no guard: take an entity or a scope from an access "
                "module, or declare dependencies=[Public]"
            )
