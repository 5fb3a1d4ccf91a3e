"""Index words by their project.

Revision: 0019
Revises: 0018
Created: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# Words that were written lately stand in a list without order, through which every search reads. Unless told otherwise,
# PostgreSQL lets it grow to 4 MB, whoever fills it.
SHORT = {"gin_pending_list_limit": 64}

NEW = {
    "tasks_words_idx": ("tasks", "search_words_in(search_words(title, description), project_id)", SHORT),
    "projects_words_idx": ("projects", "search_words(name, description)", SHORT),
}
OLD = {
    "tasks_search_idx": ("tasks", "search_document(title, description, project_id)", {}),
    "projects_search_idx": ("projects", "search_document(name, description, NULL::uuid)", {}),
}


def upgrade() -> None:
    """Built while others write. Searches of the release before still find what they found, without an index."""
    exchange(NEW, OLD)


def downgrade() -> None:
    """As before."""
    exchange(OLD, NEW)


def exchange(new: dict[str, tuple[str, str, dict[str, int]]], old: dict[str, tuple[str, str, dict[str, int]]]) -> None:
    """Build some indexes, then drop others."""
    with op.get_context().autocommit_block():
        for name, (table, expression, options) in new.items():
            # What a failed attempt left behind is invalid, and IF NOT EXISTS would take it for the index.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(
                name,
                table,
                [sa.text(expression)],
                postgresql_concurrently=True,
                postgresql_using="gin",
                postgresql_with=options,
            )
            # How often a word occurs is known of an index only after this.
            op.execute(f"ANALYZE {table}")
        for name in old:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
