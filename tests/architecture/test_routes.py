"""Every operation: who may call it, what it receives, what it is called."""

from collections import Counter

from app.core.config import Settings
from app.features import ROUTERS, TAGS
from app.main import create_app
from tests.architecture import routes, rules
from tests.architecture.source import ROOT

ROUTES = [route for router in ROUTERS for route in router.routes]


def test_every_route_has_a_guard_or_is_explicitly_public() -> None:
    assert routes.unguarded(ROUTES) == []


def test_no_handler_takes_a_bare_id() -> None:
    assert routes.bare_ids(ROUTES) == []


def test_a_scope_to_read_is_for_what_changes_nothing() -> None:
    assert routes.reads_that_write(ROUTES) == []


def test_every_operation_is_called_by_its_features_tests() -> None:
    assert routes.untried(ROUTES, ROOT) == []


def test_tags_of_different_things_differ() -> None:
    assert len(routes.entities()) > 2
    assert routes.shared_letters(routes.entities()) == []


def test_only_access_reads_the_path() -> None:
    assert rules.path_ids_read_elsewhere(ROOT) == []


def test_operation_ids_are_the_names_of_handlers_and_unique() -> None:
    assert routes.operation_ids(ROUTES) == []


def test_document_lists_every_public_operation_once(settings: Settings) -> None:
    app = create_app(settings)
    documented = Counter(
        operation["operationId"] for methods in app.openapi()["paths"].values() for operation in methods.values()
    )
    assert documented == Counter(routes.name_of(route.endpoint) for route in ROUTES if route.include_in_schema)


def test_every_tag_is_described_and_used() -> None:
    assert {tag for route in ROUTES for tag in route.tags} == {tag["name"] for tag in TAGS}


def test_every_route_comes_from_a_router_of_the_list(settings: Settings) -> None:
    assert create_app(settings).innermost.operations.routes == ROUTES


def test_the_list_names_every_feature_lowest_layer_first() -> None:
    assert rules.unlisted_features(ROOT) == []
