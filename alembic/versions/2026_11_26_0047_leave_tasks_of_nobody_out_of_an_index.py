"""Leave tasks of nobody out of an index.

A task that nobody is known to have created wrote an entry into the index of creators whenever it changed, on a page of
its own (docs/decisions/0040-what-writing-a-task-costs.md). Nobody looks for these.

Revision: 0047
Revises: 0046
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

INDEX, NEW = "tasks_created_by_idx", "tasks_created_by_new_idx"


def _replace(where: str | None) -> None:
    """Build the index beside the one that is there, while others write; then put it in its place."""
    with op.get_context().autocommit_block():
        # What a failed attempt left behind is invalid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEW}")
        op.create_index(
            NEW, "tasks", ["created_by"], postgresql_where=where and sa.text(where), postgresql_concurrently=True
        )
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(f"ALTER INDEX {NEW} RENAME TO {INDEX}")


def upgrade() -> None:
    """Only tasks with a creator."""
    _replace("created_by IS NOT NULL")


def downgrade() -> None:
    """As before."""
    _replace(None)
