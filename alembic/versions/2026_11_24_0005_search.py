"""Search.

A text search configuration of our own, so that the dictionary is a setting, and what makes documents and queries.

Revision: 0005
Revises: 0004
Created: 2026-11-24
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Bodies that are parsed now (RETURN) name the configuration by its identity: a dump restores them with any search_path.
# The container's id is a word of the document, which no text contains, as no word begins with #. So one index answers a
# search within a project, and btree_gin, which not every server has, is not needed. The cost keeps the planner from
# making documents of many rows instead of using the index.
DOCUMENT = """
CREATE FUNCTION search_document(title text, body text, container uuid) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
RETURN setweight(to_tsvector('taller'::regconfig, title), 'A')
    || setweight(to_tsvector('taller'::regconfig, coalesce(body, '')), 'B')
    || CASE WHEN container IS NULL THEN ''::tsvector ELSE array_to_tsvector(ARRAY['#' || container::text]) END
"""

# The last word may be a beginning, unless it stands in quotes. Nothing to look for finds nothing.
QUERY = """
CREATE FUNCTION search_query(words text, container uuid) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN numnode(found.query) = 0 OR container IS NULL THEN found.query
        ELSE found.query && ('''#' || container::text || '''')::tsquery
    END
    FROM (
        SELECT CASE
            WHEN right(asked.query::text, 1) = '''' AND words !~ '"\\s*$' THEN (asked.query::text || ':*')::tsquery
            ELSE asked.query
        END AS query
        FROM (SELECT websearch_to_tsquery('taller'::regconfig, words) AS query) AS asked
    ) AS found
)
"""


def upgrade() -> None:
    """Only additions."""
    op.execute("CREATE TEXT SEARCH CONFIGURATION taller (COPY = pg_catalog.simple)")
    op.execute(DOCUMENT)
    op.execute(QUERY)


def downgrade() -> None:
    """Nothing can be searched."""
    op.execute("DROP FUNCTION search_query(text, uuid)")
    op.execute("DROP FUNCTION search_document(text, text, uuid)")
    op.execute("DROP TEXT SEARCH CONFIGURATION taller")
