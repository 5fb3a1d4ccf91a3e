"""The rules that routes can break. Each takes routes and returns its offences, one line each."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.auth.access import CallerGuard
from app.core.guards import guards_of
from app.core.http.routing import API_PREFIX
from app.projects.scopes import Entity, EntityScope


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


def reads_that_write(routes: Iterable[APIRoute]) -> list[str]:
    """A scope that lets API keys read lets them change nothing."""
    return [
        f"{route.name}: changes something, and an API key needs only {guard.scope} for it: "
        "give its guard the scope that ends with :write"
        for route in routes
        for guard in guards_of(route)
        if isinstance(guard, CallerGuard) and str(guard.scope).endswith(":read") and route.methods != {"GET"}
    ]


def shared_letters(entities: Iterable[Entity]) -> list[str]:
    """Tags of different kinds of things begin with different letters, so that none is taken for another's."""
    letters: dict[str, set[str]] = {}
    for entity in entities:
        found = re.search(r"'\"([a-z]+)'", str(entity.etag))
        assert found is not None, f"{entity.model.__name__}: its tag does not begin with a letter"
        letters.setdefault(found[1], set()).add(entity.model.__name__)
    return [
        f"tags of {' and '.join(sorted(names))} begin with the same letter {letter}: give the newer one another in its "
        "scopes.py"
        for letter, names in letters.items()
        if len(names) > 1
    ]


def untried(routes: Iterable[APIRoute], root: Path) -> list[str]:
    """A feature's own tests act on each of its operations: a file of theirs has its method and its address."""
    sent: dict[str, list[tuple[set[str], set[str]]]] = {}
    offences = []
    for route in routes:
        feature = _module_of(route.endpoint).split(".")[1]
        if feature not in sent:
            sent[feature] = [_sent_by(path) for path in sorted((root / "tests" / feature).rglob("*.py"))]
        method, address = min(route.methods or ()), _plain(route.path)
        if not any(method in methods and address in addresses for methods, addresses in sent[feature]):
            offences.append(
                f"{route.name}: no file of tests/{feature}/ sends {method} {route.path}: add a test that acts on it"
            )
    return offences


def _sent_by(path: Path) -> tuple[set[str], set[str]]:
    """The methods and the addresses that stand in a file of tests."""
    methods, addresses = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            methods.add(node.attr.upper())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            methods.add(node.value)
            addresses.add(_plain(node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            addresses.add(_plain("".join(map(str, parts))))
    return methods, addresses


def _plain(address: str) -> str:
    """An address without its prefix, its last slash, its query, and the names of what stands in it."""
    path = address.partition("?")[0].removeprefix(API_PREFIX).rstrip("/")
    return re.sub(r"\{\w*\}", "{}", path)


def entities(scope: type[EntityScope] = EntityScope) -> list[Entity]:
    """Everything that a guard admits to."""
    own = [scope.entity] if "entity" in vars(scope) else []
    return own + [entity for kind in scope.__subclasses__() for entity in entities(kind)]


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
