"""Index words without their places.

The index holds no more of a word than that a task has it. Its expression made places and weights as well, which only
phrases and ranks need, and put 22 characters in front of each word: a third of the time of a new task went into words
(docs/decisions/0040-what-writing-a-task-costs.md). Now it makes a list of words, with 8 characters in front, and what
searches for a phrase looks into the tasks that have all its words.

Searches of the release before find the same, but without an index.

Revision: 0048
Revises: 0047
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

INDEX, NEW = "tasks_words_idx", "tasks_words_new_idx"
ENTRIES = "search_entries(title, description, project_id)"
WORDS = "search_words_in(search_words(title, description), project_id)"

# Names have their schema, because ANALYZE looks in none.
FUNCTIONS = r"""
DO $$
DECLARE
    home text := quote_ident(current_schema());
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY[$f$
-- The last 48 bits of an id are random.
CREATE OR REPLACE FUNCTION search_prefix(container uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN encode(substr(uuid_send(container), 11), 'base64')
    $f$, $f$
CREATE OR REPLACE FUNCTION search_entries(title text, body text, container uuid) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000 AS $b$
DECLARE
    prefix CONSTANT text := home.search_prefix(container);
    words text := coalesce(title || ' ' || body, title);
BEGIN
    IF octet_length(words) = char_length(words) AND octet_length(title) < 100
        AND (octet_length(body) < 100) IS NOT FALSE THEN
        -- As `search_plain` makes them, in one step.
        words := regexp_replace(lower(words COLLATE "C"), '[^a-z0-9 ]+', ' ', 'g');
    ELSE
        words := home.search_plain(words);
    END IF;
    -- The prefix alone is an entry of each row, for queries that only exclude.
    RETURN array_to_tsvector(string_to_array(
        prefix || ' ' || prefix
            || array_to_string(tsvector_to_array(to_tsvector('home.taller'::regconfig, words)), ' ' || prefix),
        ' '
    ));
END
$b$
    $f$, $f$
CREATE OR REPLACE FUNCTION search_entries_for(terms tsquery, container uuid) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $b$
DECLARE
    asked text := terms::text;
BEGIN
    IF strpos(asked, '<') > 0 THEN
        -- Entries have no places: rows with all words of a phrase are found, and none is excluded.
        asked := regexp_replace(querytree(terms), '<(-|\d+)>', '&', 'g');
        IF asked = 'T' THEN
            asked := '''''';
        END IF;
    ELSIF strpos(asked, '!') > 0 THEN
        asked := '(' || asked || ') & ''''';
    END IF;
    RETURN regexp_replace(asked, '''([^'']*)''', '''' || home.search_prefix(container) || '\1''', 'g')::tsquery;
END
$b$
    $f$, $f$
CREATE OR REPLACE FUNCTION search_phrases(asked text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $b$
DECLARE
    terms CONSTANT tsquery := home.search_terms(asked);
BEGIN
    RETURN CASE WHEN strpos(terms::text, '<') > 0 THEN terms END;
END
$b$
    $f$] LOOP
        EXECUTE replace(made, 'home.', home || '.');
    END LOOP;
END
$$
"""
DROPPED = (
    "search_phrases(text)",
    "search_entries_for(tsquery, uuid)",
    "search_entries(text, text, uuid)",
    "search_prefix(uuid)",
)


def _replace(expression: str) -> None:
    """Build the index beside the one that is there, while others write; then put it in its place."""
    # What a failed attempt left behind is invalid.
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEW}")
    op.create_index(
        NEW,
        "tasks",
        [sa.text(expression)],
        postgresql_concurrently=True,
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    )
    # How often a word occurs is known of an index only after this.
    op.execute("ANALYZE tasks")
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
    op.execute(f"ALTER INDEX {NEW} RENAME TO {INDEX}")


def upgrade() -> None:
    """Index the entries."""
    with op.get_context().autocommit_block():
        op.execute(FUNCTIONS)
        _replace(ENTRIES)


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        _replace(WORDS)
        for function in DROPPED:
            op.execute(f"DROP FUNCTION IF EXISTS {function}")
