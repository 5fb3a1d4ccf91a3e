"""Merge new words less often into their indexes.

Revision: 0025
Revises: 0024
Created: 2026-11-26
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INDEXES = ("tasks_words_idx", "projects_words_idx")


def _set(kilobytes: int) -> None:
    # It locks an index for a moment: one by one, so that nobody who needs both is met in between.
    with op.get_context().autocommit_block():
        for index in INDEXES:
            op.execute(f"ALTER INDEX {index} SET (gin_pending_list_limit = {kilobytes})")


def upgrade() -> None:
    """Each write waits for fewer merges; a search reads through up to 256 kB of new words, in about a millisecond."""
    _set(256)


def downgrade() -> None:
    """As before."""
    _set(64)
