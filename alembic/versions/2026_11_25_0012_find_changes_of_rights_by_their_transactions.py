"""Find changes of rights by their transactions.

Revision: 0012
Revises: 0011
Created: 2026-11-25
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW, OLD = "access_changes_transaction_id_idx", "access_changes_changed_at_idx"


def upgrade() -> None:
    """Built while others write. The release before this one reads the whole table instead of the old index."""
    with op.get_context().autocommit_block():
        # What a failed attempt left behind is invalid, and IF NOT EXISTS would take it for the index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEW}")
        op.create_index(NEW, "access_changes", ["transaction_id"], postgresql_concurrently=True)
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}")


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        op.create_index(OLD, "access_changes", ["changed_at"], postgresql_concurrently=True)
        op.drop_index(NEW, "access_changes", postgresql_concurrently=True)
