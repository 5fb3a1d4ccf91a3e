"""The rules of the house that routes can break. Each takes routes and returns its offences, one line each."""

from collections import Counter
from collections.abc import Iterable, Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.core.guards import guards_of


def unguarded(routes: Iterable[APIRoute]) -> list[str]:
    """Every route has a guard, or is explicitly public."""
    return [f"{route.name}: has no guard" for route in routes if not guards_of(route)]


def bare_ids(routes: Iterable[APIRoute]) -> list[str]:
    """What stands in the path reaches a feature's handler through its `access` only, as something permitted."""
    offences = []
    for route in routes:
        if _module_of(route.endpoint).startswith("app.system."):
            # Problem codes and names of documentation files are no ids of anything.
            continue
        for dependant in _dependants(route.dependant):
            module = _module_of(dependant.call)
            if dependant.path_params and not module.endswith(".access"):
                names = ", ".join(parameter.alias for parameter in dependant.path_params)
                offences.append(f"{route.name}: takes {names} bare, in {module}")
    return offences


def operation_ids(routes: Iterable[APIRoute]) -> list[str]:
    """Operation ids are the handlers' names, and unique."""
    listed = list(routes)
    ids = {id(route): route.operation_id or route.unique_id for route in listed}
    counts = Counter(ids.values())
    return [
        f"{ids[id(route)]}: is the operation id of {_module_of(route.endpoint)}.{name_of(route.endpoint)}"
        for route in listed
        if ids[id(route)] != name_of(route.endpoint) or counts[ids[id(route)]] > 1
    ]


def name_of(function: object) -> str:
    """The name that a function was given."""
    return str(getattr(function, "__name__", ""))


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _dependants(dependency)


def _module_of(call: object) -> str:
    # A guard is an instance: its class knows where it was written.
    return str(getattr(call, "__module__", type(call).__module__))
