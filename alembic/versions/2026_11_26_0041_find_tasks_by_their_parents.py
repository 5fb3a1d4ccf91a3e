"""Find tasks by their parents.

Revision: 0041
Revises: 0040
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

INDEX = "tasks_parent_id_idx"
REFERENCE = "tasks_parent_id_fkey"


def upgrade() -> None:
    """Build the index while others write; then the reference, which deletions need it for."""
    with op.get_context().autocommit_block():
        # What a failed attempt left behind is invalid, and IF NOT EXISTS would take it for the index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.create_index(
            INDEX,
            "tasks",
            ["parent_id"],
            postgresql_where=sa.text("parent_id IS NOT NULL"),
            postgresql_concurrently=True,
        )
    # It may be there, without validation, if that failed.
    op.execute(f"ALTER TABLE tasks DROP CONSTRAINT IF EXISTS {REFERENCE}")
    op.create_foreign_key(
        REFERENCE, "tasks", "tasks", ["parent_id"], ["id"], ondelete="CASCADE", postgresql_not_valid=True
    )
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT {REFERENCE}")


def downgrade() -> None:
    """As before."""
    op.drop_constraint(REFERENCE, "tasks")
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "tasks", postgresql_concurrently=True)
