"""Find archived projects.

Revision: 0038
Revises: 0037
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

INDEX = "projects_archived_idx"


def upgrade() -> None:
    """Built while others write."""
    with op.get_context().autocommit_block():
        # What a failed attempt left behind is invalid, and IF NOT EXISTS would take it for the index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        archived = sa.text("is_archived")
        op.create_index(INDEX, "projects", ["id"], postgresql_where=archived, postgresql_concurrently=True)


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "projects", postgresql_concurrently=True)
