"""Ask for words and subtasks at less cost.

What a search asks for is worked out when it is planned, twice. As a query in SQL that took 80 µs each time, in PL/pgSQL
it takes 12. And where plans are made for their values, so was that of `subtasks_of`, for each task of a page
(docs/decisions/0047-what-filters-cost.md). What the functions return stays as it is.

Revision: 0046
Revises: 0045
Created: 2026-11-26
"""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

TERMS = """
CREATE OR REPLACE FUNCTION search_terms(words text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    asked text := websearch_to_tsquery('taller'::regconfig, search_asked(words))::text;
BEGIN
    IF right(asked, 1) = '''' AND words !~ '["“”]\\s*$' THEN
        RETURN (asked || ':*')::tsquery;
    END IF;
    RETURN asked::tsquery;
END
$$
"""
TERMS_IN = """
CREATE OR REPLACE FUNCTION search_terms_in(terms tsquery, container uuid) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN regexp_replace(
        CASE WHEN strpos(terms::text, '!') > 0 THEN '(' || terms::text || ') & ''''' ELSE terms::text END,
        '''([^'']*)''', '''' || rtrim(encode(uuid_send(container), 'base64'), '=') || '\\1''', 'g'
    )::tsquery;
END
$$
"""
TERMS_IN_BEFORE = """
CREATE OR REPLACE FUNCTION search_terms_in(terms tsquery, container uuid) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    CASE WHEN strpos(terms::text, '!') > 0 THEN '(' || terms::text || ') & ''''' ELSE terms::text END,
    '''([^'']*)''', '''' || search_key(container) || '\\1''', 'g'
)::tsquery
"""
TERMS_BEFORE = """
CREATE OR REPLACE FUNCTION search_terms(words text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN right(asked.query::text, 1) = '''' AND words !~ '["“”]\\s*$' THEN (asked.query::text || ':*')::tsquery
        ELSE asked.query
    END
    FROM (SELECT websearch_to_tsquery('taller'::regconfig, search_asked(words)) AS query) AS asked
)
"""


def upgrade() -> None:
    """Replace functions by others that return the same."""
    op.execute(TERMS)
    op.execute(TERMS_IN)
    op.execute("ALTER FUNCTION subtasks_of(uuid) SET plan_cache_mode = force_generic_plan")


def downgrade() -> None:
    """As before."""
    op.execute(TERMS_BEFORE)
    op.execute(TERMS_IN_BEFORE)
    op.execute("ALTER FUNCTION subtasks_of(uuid) RESET plan_cache_mode")
