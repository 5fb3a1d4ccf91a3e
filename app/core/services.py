"""The services of a running application."""

from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request

KEY = "taller.services"
"""Under which the ASGI scope of each request has the services."""

T = TypeVar("T")


class Services(dict[type, Any]):
    """The services of an application by their classes. Features add their own, which core does not name."""

    def __init__(self, *services: object) -> None:
        super().__init__((type(service), service) for service in services)

    if TYPE_CHECKING:

        def __getitem__(self, kind: type[T]) -> T: ...


def services_of(request: Request) -> Services:
    """Return the services of the application that serves a request."""
    services: Services = request.scope[KEY]
    return services
