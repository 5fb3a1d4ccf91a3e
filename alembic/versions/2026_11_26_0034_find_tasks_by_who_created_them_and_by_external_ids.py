"""Find tasks by who created them and by external ids.

Revision: 0034
Revises: 0033
Created: 2026-11-26
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

INDEXES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "tasks_created_by_idx": (["created_by"], {}),
    "tasks_external_id_key": (
        ["project_id", "external_id"],
        {"unique": True, "postgresql_where": sa.text("external_id IS NOT NULL")},
    ),
}


def upgrade() -> None:
    """Built while others write."""
    with op.get_context().autocommit_block():
        for name, (columns, options) in INDEXES.items():
            # What a failed attempt left behind is invalid, and IF NOT EXISTS would take it for the index.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, "tasks", columns, postgresql_concurrently=True, **options)


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.drop_index(name, "tasks", postgresql_concurrently=True)
