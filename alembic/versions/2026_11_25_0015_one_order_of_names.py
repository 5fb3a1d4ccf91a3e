"""One order of names, whatever locale the server was made with.

Revision: 0015
Revises: 0014
Created: 2026-11-25
"""

from collections.abc import Iterator
from unicodedata import normalize

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

LETTERS = (range(0xC0, 0x250), range(0x370, 0x400), range(0x400, 0x530), range(0x531, 0x557))
"""Latin, Greek, Cyrillic and Armenian. Unicode does not change what their small letters are."""

BASES = {"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "ς": "σ"}
"""Letters that look like others with a mark, of which Unicode does not say so."""

PAIRS = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}


def _small() -> Iterator[tuple[str, str]]:
    """Letters beyond ASCII that stay as they are when marks are taken off, with what stands for them."""
    for letter in (chr(code) for span in LETTERS for code in span):
        small = letter.lower()
        if normalize("NFKD", letter) == letter and len(small) == 1 and BASES.get(small, small) != letter:
            yield letter, BASES.get(small, small)
    yield "ẞ", "ß"


def _sort_key() -> str:
    capitals, small = map("".join, zip(*_small(), strict=True))
    marks = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
    key = f"""lower(regexp_replace(normalize(words, NFKD) COLLATE "C", '{marks}', '', 'g'))"""
    key = f"translate({key}, '{capitals}', '{small}')"
    for letter, pair in PAIRS.items():
        key = f"replace({key}, '{letter}', '{pair}')"
    # Its length is bounded for the sake of the index. Most texts are ASCII, for which there is a shorter way.
    return f"""
        CREATE FUNCTION sort_key(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE
            WHEN octet_length(words) = char_length(words) THEN lower(words COLLATE "C")
            ELSE left({key}, 500)
        END
    """


def upgrade() -> None:
    """Only additions."""
    # The servers have no collation in common that knows letters: Debian's have ICU, others do not, and PostgreSQL's own
    # came with 17. "C" is everywhere, and compares code points; the function makes of texts what is to be compared.
    op.execute(sa.text(_sort_key().replace(":", r"\:")))
    op.execute(
        "COMMENT ON FUNCTION sort_key IS 'Text without letter case and accents, to be compared by COLLATE \"C\"'"
    )


def downgrade() -> None:
    """As before."""
    op.execute("DROP FUNCTION sort_key(text)")
