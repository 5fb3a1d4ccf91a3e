"""The lint for migrations names what would lock a live table."""

import pytest

from devtools.lint_migrations import Finding, findings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        ("CREATE INDEX CONCURRENTLY tasks_title ON tasks (title);", []),
        ("CREATE INDEX tasks_title ON tasks (title);", ["require-concurrent-index-creation"]),
        ("ALTER TABLE tasks ALTER COLUMN title TYPE varchar(9);", ["changing-column-type"]),
        ("ALTER TABLE tasks DROP COLUMN title;", ["ban-drop-column"]),
    ],
)
def test_what_locks_a_live_table_is_found(sql: str, rules: list[str]) -> None:
    before = "-- Running upgrade  -> 0098\nSELECT 1;\n-- Running upgrade 0098 -> 0099\nSET lock_timeout = '5s';\n"
    found: list[Finding] = findings(f"{before}{sql}\n")
    assert [each.rule for each in found] == rules
    assert all(each.revision == "0099" for each in found)
