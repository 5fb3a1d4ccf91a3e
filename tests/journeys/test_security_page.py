"""The table in docs/security.md says of every operation what its guard says."""

from fastapi.routing import APIRoute

from app.auth.access import Admin, CallerGuard
from app.core.database.migrations import ROOT
from app.core.guards import Guard, guards_of
from app.features import ROUTERS
from app.projects.models import Role

PAGE = (ROOT / "docs" / "security.md").read_text()
HEAD = ["operation", "anonymous", "stranger", "viewer", "editor", "owner", "admin", "key scope"]


def table() -> dict[str, list[str]]:
    """The cells of each row, by operation id."""
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in PAGE.splitlines() if "|" in line]
    start = lines.index(HEAD) + 2
    rows = [cells for cells in lines[start:] if len(cells) == len(HEAD)]
    assert len({cells[0] for cells in rows}) == len(rows), "an operation is listed twice"
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def routes_of() -> dict[str, APIRoute]:
    """Every operation by its id, also those that the OpenAPI document does not list."""
    return {route.name: route for router in ROUTERS for route in router.routes}


def row_of(guard: Guard) -> list[str]:
    """What the guard means for each kind of caller."""
    if not isinstance(guard, CallerGuard):
        return ["yes"] * 6 + ["none needed"]
    scope = "session only" if guard.scope is None else f"`{guard.scope}`"
    if isinstance(guard, Admin):
        return ["401", "403", "403", "403", "403", "yes", scope]
    least = getattr(guard, "least", None)
    if least is None:
        return ["401", *["yes"] * 5, scope]
    return ["401", "404", *("yes" if role.value in least.and_above else "403" for role in Role), "yes", scope]


def test_every_operation_has_a_row_and_every_row_is_as_its_guard_decides() -> None:
    rows, routes = table(), routes_of()
    assert sorted(rows) == sorted(routes)
    expected = {}
    for name, route in routes.items():
        (guard,) = guards_of(route)
        expected[name] = row_of(guard)
    # The guard admits every member, and the service decides by whom is removed.
    expected["remove_member"][2:4] = ["oneself", "oneself"]
    assert rows == expected
