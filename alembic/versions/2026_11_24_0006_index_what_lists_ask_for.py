"""Index what lists ask for.

Revision: 0006
Revises: 0005
Created: 2026-11-24
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEXES = {
    "tasks_by_due_date_idx": ("tasks", ["project_id", "due_date", "id"], {}),
    "tasks_by_created_at_idx": ("tasks", ["project_id", "created_at", "id"], {}),
    "tasks_search_idx": (
        "tasks",
        [sa.text("search_document(title, description, project_id)")],
        {"postgresql_using": "gin"},
    ),
    "projects_search_idx": (
        "projects",
        [sa.text("search_document(name, description, NULL::uuid)")],
        {"postgresql_using": "gin"},
    ),
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
