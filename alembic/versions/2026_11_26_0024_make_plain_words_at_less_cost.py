"""Make plain words at less cost.

Revision: 0024
Revises: 0023
Created: 2026-11-26
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# As in revision 0018.
ALONE = r"([[:alnum:]]{100}|[\u2E80-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF])"

BEFORE = rf"""
CREATE OR REPLACE FUNCTION search_plain(raw text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    regexp_replace(search_folded(raw) COLLATE "default", '[^[:alnum:]]+', ' ', 'g'), '{ALONE}', ' \1 ', 'g'
)
"""

# Each replacement costs, so blanks are left as they are: PostgreSQL's parser takes several of them for one. ASCII has
# no character that is a word by itself, and a short text has no word of 100 letters. The words are the same as before,
# which is why the indexes need not be built anew.
PLAIN = rf"""
CREATE OR REPLACE FUNCTION search_plain(raw text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(raw) <> char_length(raw) THEN regexp_replace(
        regexp_replace(search_folded(raw) COLLATE "default", '[^[:alnum:] ]+', ' ', 'g'), '{ALONE}', ' \1 ', 'g'
    )
    WHEN octet_length(raw) < 100 THEN regexp_replace(lower(raw COLLATE "C"), '[^a-z0-9 ]+', ' ', 'g') COLLATE "default"
    ELSE regexp_replace(
        regexp_replace(lower(raw COLLATE "C"), '[^a-z0-9 ]+', ' ', 'g'), '[a-z0-9]{{100}}', ' \& ', 'g'
    ) COLLATE "default"
END
"""

# With the collation that revision 0018 chose.
COLLATED = """
DO $$
DECLARE
    unicode text := coalesce((
        SELECT collname FROM pg_collation
        WHERE collname IN ('pg_c_utf8', 'und-x-icu') AND collnamespace = 'pg_catalog'::regnamespace
        ORDER BY collname LIMIT 1
    ), 'default');
BEGIN
    EXECUTE replace($f${}$f$, '"default"', quote_ident(unicode));
END
$$
"""


def upgrade() -> None:
    """Make the same words, so that index and searches stay as they are."""
    op.execute(COLLATED.format(PLAIN))


def downgrade() -> None:
    """As before."""
    op.execute(COLLATED.format(BEFORE))
