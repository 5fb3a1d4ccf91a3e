"""The reader of statements, which looks at all that the tests have executed, finds what Citus does not take."""

import pytest

from tests.support.distributed import refused_by_a_router


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO attempts (key, count) VALUES ($1::text, $2::int), ($3::text, $4::int) ON CONFLICT DO NOTHING",
        "INSERT INTO attempts (key, at) VALUES ($1, coalesce($2, now())), ($3, now())",
        "DELETE FROM attempts WHERE ctid = any(array(SELECT ctid FROM attempts))",
        "SELECT 1 FROM other.attempts",
        'SELECT 1 FROM attempts JOIN "other"."attempts" ON true',
    ],
)
def test_a_statement_that_citus_does_not_take_is_found(sql: str) -> None:
    assert len(refused_by_a_router(sql)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO attempts (key, count) VALUES ($1::text, $2::int) RETURNING key",
        "INSERT INTO attempts (key, count) SELECT unnest($1::text[]), 1",
        "SELECT tasks.id FROM tasks JOIN projects ON projects.id = tasks.project_id",
        "SELECT extract(epoch FROM sessions.expires_at - now()) FROM sessions",
        "SELECT 1 FROM (VALUES (1), (2)) AS numbers",
    ],
)
def test_other_statements_are_taken(sql: str) -> None:
    assert not refused_by_a_router(sql)
