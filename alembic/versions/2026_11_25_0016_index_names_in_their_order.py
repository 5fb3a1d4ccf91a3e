"""Index names in their order.

Revision: 0016
Revises: 0015
Created: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEXES = {
    "tasks_by_title_idx": ("tasks", ["project_id", sa.text('sort_key(title COLLATE "C")'), "id"], {}),
    # Those of before, `lower(username)` and `lower(email)`, go by the server's locale: a Turkish one makes another
    # letter of I. They stay for a release, in which both versions of the code may run.
    "users_username_key": ("users", [sa.text('lower(username COLLATE "C")')], {"unique": True}),
    "users_email_key": ("users", [sa.text('lower(email COLLATE "C")')], {"unique": True}),
}


def upgrade() -> None:
    """Built while others write."""
    with op.get_context().autocommit_block():
        for name, (table, columns, options) in INDEXES.items():
            # What a failed attempt left behind is invalid, and IF NOT EXISTS would take it for the index.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, table, columns, postgresql_concurrently=True, **options)


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        for name, (table, _, _) in INDEXES.items():
            op.drop_index(name, table, postgresql_concurrently=True)
