"""What source code may not say, and where."""

from tests.architecture import rules
from tests.architecture.source import ROOT


def test_features_enter_one_another_by_their_doors() -> None:
    assert rules.private_modules(ROOT) == []


def test_only_the_database_module_commits() -> None:
    assert rules.commits(ROOT) == []


def test_each_transaction_is_repeated_if_it_is_undone() -> None:
    assert rules.unrepeated_transactions(ROOT) == []


def test_only_queries_access_and_scopes_select() -> None:
    assert rules.selects(ROOT) == []


def test_times_come_from_the_database() -> None:
    assert rules.clocks(ROOT) == []


def test_only_the_command_line_prints() -> None:
    assert rules.prints(ROOT) == []


def test_only_access_makes_scopes() -> None:
    assert rules.scopes_made_elsewhere(ROOT) == []


def test_the_database_comes_by_its_aliases() -> None:
    assert rules.bypassed_aliases(ROOT) == []


def test_core_names_no_table_and_no_index_of_a_feature() -> None:
    assert rules.features_named_by_core(ROOT) == []


def test_middleware_is_plain_asgi() -> None:
    assert rules.slow_middleware(ROOT) == []


def test_private_names_of_libraries_are_few_and_were_read() -> None:
    assert rules.private_names_of_libraries(ROOT) == []


def test_a_feature_refuses_by_classes_of_its_own() -> None:
    assert rules.anonymous_errors(ROOT) == []


def test_test_names_are_short() -> None:
    assert rules.long_test_names(ROOT) == []
