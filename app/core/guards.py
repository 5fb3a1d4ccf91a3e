"""Guards: the dependencies that authenticate and authorise callers. Every route has one, which is checked at boot.

A guard usually returns a scope, and the handler's one statement carries the scope's condition. If a request is refused
before that statement runs (for an invalid body or an unknown parameter), `authorize` runs first, so that a 400 tells a
stranger nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.core.errors import AppError, TooManyRequestsError
from app.core.request_state import Known

DEFAULT, LOGIN = "default", "login"
"""The rate-limit policies: for ordinary requests, and for sign-in and registration."""

UNLIMITED = "free"
"""No policy: these requests are never counted."""


class Guard:
    """A dependency that decides whether a caller may call an operation. FastAPI calls it like any dependency."""

    errors: tuple[type[AppError], ...] = ()
    """The errors that it raises; the OpenAPI document lists them on every operation that it guards."""

    security: Sequence[Mapping[str, list[str]]] = ()
    """The accepted security schemes with the scopes that each needs, as in OpenAPI's `security`."""

    needs: str = ""
    """One sentence for the documentation on what the caller needs."""

    is_conditional: bool = False
    """Whether the operation evaluates the request's `Preconditions`."""

    rate_policy: str | None = None
    """The policy by which requests are counted against their network address; None if the guard authenticates callers,
    against whom requests are counted then."""

    async def authenticate(self, request: Request) -> Known | None:  # noqa: ARG002 - subclasses look
        """Return the caller, or None for a public operation. Raises an error if the caller may not call it at all."""
        return None

    async def authorize(self, request: Request) -> None:
        """Raise an error unless the caller may learn what is wrong with the request."""
        raise NotImplementedError


class PublicGuard(Guard):
    """Admits anybody."""

    def __init__(self, rate_policy: str = DEFAULT) -> None:
        self.rate_policy = rate_policy
        self.errors = () if rate_policy == UNLIMITED else (TooManyRequestsError,)

    async def __call__(self) -> None:
        """Let the request through."""

    async def authorize(self, request: Request) -> None:
        """Allow every caller to learn what is wrong with the request."""


Public = Depends(PublicGuard())
"""Marks an operation that anybody may call: `dependencies=[Public]`. It has to be declared, never left out."""


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
    """A route has no guard."""


def refuse_unguarded_routes(routes: Iterable[APIRoute]) -> None:
    """Raise `UnguardedRouteError` if a route has no guard, which stops the boot."""
    for route in routes:
        if not guards_of(route):
            raise UnguardedRouteError(
                f"{sorted(route.methods or ())} {route.path} has no guard: take an entity or a scope from an access "
                "module, or declare dependencies=[Public]"
            )
