"""Layers and public modules: who may import whom."""

from pathlib import Path

import pytest

from tests.architecture.contracts import CONTRACTS, broken_contracts
from tests.architecture.planting import Offence, planted
from tests.architecture.source import ROOT

pytestmark = pytest.mark.slow

LAYERS, DEVTOOLS, FLOORS, MODULES, AUTH, ROUTERS, HTTP = CONTRACTS


def test_every_contract_holds() -> None:
    assert broken_contracts(ROOT) == []


@pytest.mark.parametrize(
    ("offences", "broken"),
    [
        pytest.param(
            [Offence("app/core/http/trie.py", "from app.auth.models import User")], LAYERS, id="core knows a feature"
        ),
        pytest.param(
            [Offence("app/projects/models.py", "from app.tasks.models import Task")], LAYERS, id="a feature looks up"
        ),
        pytest.param(
            [Offence("app/gadgets/__init__.py", ""), Offence("app/gadgets/models.py", "")],
            LAYERS,
            id="a feature in no layer",
        ),
        pytest.param(
            [Offence("app/main.py", "from devtools.postgres import EmbeddedPostgres")],
            DEVTOOLS,
            id="the application needs what only development has",
        ),
        pytest.param(
            [Offence("app/core/database/pool.py", "from app.core.listing.sorting import Order")],
            FLOORS,
            id="core looks up",
        ),
        pytest.param(
            [Offence("app/core/listing/sorting.py", "from app.core.ratelimit.limiter import Key")],
            FLOORS,
            id="siblings of core know each other",
        ),
        pytest.param([Offence("app/core/search.py", "")], FLOORS, id="a module of core on no floor"),
        pytest.param(
            [Offence("app/tasks/queries.py", "from app.tasks import service")], MODULES, id="queries import the service"
        ),
        pytest.param(
            [Offence("app/projects/scopes.py", "from app.projects.schemas import ProjectRead")],
            MODULES,
            id="scopes import schemas",
        ),
        pytest.param(
            [
                Offence("app/gadgets/__init__.py", ""),
                Offence("app/gadgets/models.py", "from app.gadgets.schemas import GadgetRead"),
                Offence("app/gadgets/schemas.py", "class GadgetRead: ..."),
                Offence("pyproject.toml", '"features", "gadgets", ', replaces='"features", '),
            ],
            MODULES,
            id="a feature not yet written turns its modules round",
        ),
        pytest.param(
            [Offence("app/auth/sessions/service.py", "from app.auth.accounts import service")],
            AUTH,
            id="a chapter of auth knows another above it",
        ),
        pytest.param(
            [Offence("app/main.py", "from app.tasks.router import router")], ROUTERS, id="a router mounted elsewhere"
        ),
        pytest.param([Offence("app/tasks/service.py", "import fastapi")], HTTP, id="a service knows HTTP"),
        pytest.param(
            [Offence("app/auth/queries.py", "from starlette.requests import Request")],
            HTTP,
            id="a query knows requests",
        ),
    ],
)
def test_each_contract_breaks_by_its_own_offence(tree: Path, offences: list[Offence], broken: str) -> None:
    with planted(tree, *offences):
        assert broken_contracts(tree) == [broken]
