"""Sort titles when that is asked for.

An index of titles in their order cost each write of a title a tenth of all that PostgreSQL does for it. Lists by title
read the project that they are about, as lists by `updated_at` do.

Revision: 0027
Revises: 0026
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NAME = "tasks_by_title_idx"


def upgrade() -> None:
    """Drop it while others write; the release before sorts as well then."""
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        columns = ["project_id", sa.text('sort_key(title COLLATE "C")'), "id"]
        op.create_index(NAME, "tasks", columns, postgresql_concurrently=True)
