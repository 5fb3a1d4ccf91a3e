"""Make words and sort keys by few steps.

PostgreSQL prepares the expression of an index anew for each statement that writes, with all functions in it written
out. That took four times as long as to make the words of a short text. So what most texts do not need stands in
functions that are not written out. Words and keys are the same as before, and no index has to be built anew.

Revision: 0026
Revises: 0025
Created: 2026-11-26
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# Of short texts in ASCII; of others as before. Names have their schema, because ANALYZE looks in none.
WORDS = r"""
DO $$
DECLARE
    home text := quote_ident(current_schema());
BEGIN
    EXECUTE replace($f$
CREATE OR REPLACE FUNCTION search_words(title text, body text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000 AS $b$
BEGIN
    IF octet_length(title) = char_length(title) AND octet_length(title) < 100
        AND (body IS NULL OR octet_length(body) = char_length(body) AND octet_length(body) < 100) THEN
        RETURN setweight(to_tsvector(
            'home.taller'::regconfig, regexp_replace(lower(title COLLATE "C"), '[^a-z0-9 ]+', ' ', 'g')
        ), 'A') || setweight(to_tsvector(
            'home.taller'::regconfig, regexp_replace(lower(coalesce(body, '') COLLATE "C"), '[^a-z0-9 ]+', ' ', 'g')
        ), 'B');
    END IF;
    RETURN setweight(to_tsvector('home.taller'::regconfig, home.search_plain(title)), 'A')
        || setweight(to_tsvector('home.taller'::regconfig, home.search_plain(coalesce(body, ''))), 'B');
END
$b$
    $f$, 'home.', home || '.');
END
$$
"""
WORDS_BEFORE = """
CREATE OR REPLACE FUNCTION search_words(title text, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
RETURN setweight(to_tsvector('taller'::regconfig, search_plain(title)), 'A')
    || setweight(to_tsvector('taller'::regconfig, search_plain(coalesce(body, ''))), 'B')
"""

LETTERS = """
DO $$
BEGIN
    EXECUTE 'CREATE FUNCTION sort_key_of_letters(words text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS '
        || quote_literal('BEGIN ' || pg_get_function_sqlbody('sort_key(text)'::regprocedure) || '; END');
END
$$
"""
KEY = """
CREATE OR REPLACE FUNCTION sort_key(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(words) = char_length(words) THEN lower(words COLLATE "C")
    ELSE sort_key_of_letters(words)
END
"""
KEY_BEFORE = """
DO $$
BEGIN
    EXECUTE (
        SELECT 'CREATE OR REPLACE FUNCTION sort_key(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE '
            || regexp_replace(prosrc, '^BEGIN (.*); END$', '\\1')
        FROM pg_proc WHERE oid = 'sort_key_of_letters(text)'::regprocedure
    );
END
$$
"""


def _known_anew() -> None:
    # Sessions that are open have the indexes in mind as they were written out before, and would not use them for
    # statements in which they are written out as they are now. Nothing is set, but PostgreSQL tells them to look again.
    # Neither reads nor writes wait for this, and it is committed with the functions.
    for index, expression in (("tasks_words_idx", 1), ("projects_words_idx", 1), ("tasks_by_title_idx", 2)):
        op.execute(f"ALTER INDEX {index} ALTER COLUMN {expression} SET STATISTICS -1")


def upgrade() -> None:
    """Replace functions by others that return the same."""
    for statement in (WORDS, LETTERS, KEY):
        op.execute(statement)
    _known_anew()


def downgrade() -> None:
    """As before."""
    for statement in (WORDS_BEFORE, KEY_BEFORE, "DROP FUNCTION sort_key_of_letters(text)"):
        op.execute(statement)
    _known_anew()
