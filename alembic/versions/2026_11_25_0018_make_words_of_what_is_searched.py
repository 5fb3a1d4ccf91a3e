"""Make words of what is searched.

What a word is no longer depends on PostgreSQL's parser, which takes `logout` in `login/logout` for a part of a path,
nor on the locale that the server was made with. And the words of a project can be told from those of all others.

Revision: 0018
Revises: 0017
Created: 2026-11-25
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Chinese and Japanese have no blanks between words, so each of their characters is one. A word of more than 100 letters
# is several, because an index takes 2046 bytes at most.
ALONE = r"([[:alnum:]]{100}|[\u2E80-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF])"

# Bodies that are parsed now (RETURN) name what they use by its identity: a dump restores them with any search_path.
# Most texts are ASCII, for which there is a shorter way.
FOLDED = """
CREATE FUNCTION search_folded(raw text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(raw) = char_length(raw) THEN lower(raw COLLATE "C") COLLATE "default"
    ELSE translate(lower(translate(normalize(raw, NFC), 'İ', 'i') COLLATE "default"), 'ς', 'σ')
END
"""
PLAIN = rf"""
CREATE FUNCTION search_plain(raw text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    regexp_replace(search_folded(raw) COLLATE "default", '[^[:alnum:]]+', ' ', 'g'), '{ALONE}', ' \1 ', 'g'
)
"""
ASKED = rf"""
CREATE FUNCTION search_asked(raw text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    regexp_replace(
        search_folded(translate(raw, '“”„', repeat('"', 3))) COLLATE "default",
        '(?<=\S)-|-(?![^\s-])|[^[:alnum:]\s"-]', ',', 'g'
    ), '{ALONE}', ',\1,', 'g'
)
"""

# With one collation that knows every letter and is the same on each server: PostgreSQL has one of its own from 17 on,
# and before nearly always ICU's.
COLLATED = f"""
DO $$
DECLARE
    unicode text := coalesce((
        SELECT collname FROM pg_collation
        WHERE collname IN ('pg_c_utf8', 'und-x-icu') AND collnamespace = 'pg_catalog'::regnamespace
        ORDER BY collname LIMIT 1
    ), 'default');
BEGIN
    EXECUTE replace($f${FOLDED}$f$, '"default"', quote_ident(unicode));
    EXECUTE replace($f${PLAIN}$f$, '"default"', quote_ident(unicode));
    EXECUTE replace($f${ASKED}$f$, '"default"', quote_ident(unicode));
END
$$
"""

# The cost keeps the planner from making words of many rows instead of using the index.
WORDS = """
CREATE FUNCTION search_words(title text, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
RETURN setweight(to_tsvector('taller'::regconfig, search_plain(title)), 'A')
    || setweight(to_tsvector('taller'::regconfig, search_plain(coalesce(body, ''))), 'B')
"""

# Asked for with what search_asked leaves: a comma stands for whatever separates what belongs together, which makes
# neighbours of it. The last word may be a beginning, unless it stands in quotes. Nothing to look for finds nothing.
TERMS = """
CREATE FUNCTION search_terms(words text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN right(asked.query::text, 1) = '''' AND words !~ '["“”]\\s*$' THEN (asked.query::text || ':*')::tsquery
        ELSE asked.query
    END
    FROM (SELECT websearch_to_tsquery('taller'::regconfig, search_asked(words)) AS query) AS asked
)
"""

# A project's words begin with its id, in 22 characters, so that the beginning of a word is looked for among its words
# only. No word holds a blank or a quote, which is why the text of a tsvector shows where each one begins. The id alone
# is a word of every document: those without a word are looked for among these.
KEY = """
CREATE FUNCTION search_key(container uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN rtrim(encode(uuid_send(container), 'base64'), '=')
"""
WORDS_IN = """
CREATE FUNCTION search_words_in(words tsvector, container uuid) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(' '''' ' || words::text, ' ''', ' ''' || search_key(container))::tsvector
"""
TERMS_IN = """
CREATE FUNCTION search_terms_in(terms tsquery, container uuid) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    CASE WHEN strpos(terms::text, '!') > 0 THEN '(' || terms::text || ') & ''''' ELSE terms::text END,
    '''([^'']*)''', '''' || search_key(container) || '\\1''', 'g'
)::tsquery
"""

MADE = (
    "search_terms_in(tsquery, uuid)",
    "search_words_in(tsvector, uuid)",
    "search_key(uuid)",
    "search_terms(text)",
    "search_words(text, text)",
    "search_asked(text)",
    "search_plain(text)",
    "search_folded(text)",
)


def upgrade() -> None:
    """Only additions: the functions of revision 0005 stay for the release before."""
    for statement in (COLLATED, WORDS, TERMS, KEY, WORDS_IN, TERMS_IN):
        op.execute(statement)


def downgrade() -> None:
    """As before."""
    for function in MADE:
        op.execute(f"DROP FUNCTION {function}")
