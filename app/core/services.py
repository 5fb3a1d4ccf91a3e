"""The services of a running application."""

from typing import Any, TypeVar

from fastapi import Request

KEY = "taller.services"
"""Under which the ASGI scope of each request has the services."""

T = TypeVar("T")


class Services:
    """The services of an application by their classes. Features add their own, which core does not name."""

    def __init__(self, *services: object) -> None:
        self._by_class: dict[type, Any] = {type(service): service for service in services}

    def __getitem__(self, kind: type[T]) -> T:
        """Return the service of this class."""
        service: T = self._by_class[kind]
        return service


def services_of(request: Request) -> Services:
    """Return the services of the application that serves a request."""
    services: Services = request.scope[KEY]
    return services
