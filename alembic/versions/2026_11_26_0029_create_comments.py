"""Create comments.

Revision: 0029
Revises: 0028
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

# Whoever adds a column adds it to this condition; tests/migrations/test_tables.py finds the one that is missing.
TRIGGER = """
CREATE TRIGGER comments_touch_updated_at BEFORE UPDATE ON comments FOR EACH ROW
WHEN (
    (OLD.id, OLD.task_id, OLD.author_id, OLD.body, OLD.created_at, OLD.updated_at, OLD.version)
    IS DISTINCT FROM
    (NEW.id, NEW.task_id, NEW.author_id, NEW.body, NEW.created_at, NEW.updated_at, NEW.version)
) EXECUTE FUNCTION touch_version()
"""


def upgrade() -> None:
    """Expand: the release before this one still runs on the result."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "comments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="comments_pkey"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="comments_task_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name="comments_author_id_fkey", ondelete="SET NULL"),
        sa.CheckConstraint("char_length(body) BETWEEN 1 AND 10000", name=op.f("comments_body_length_check")),
    )
    op.create_index("comments_by_id_idx", "comments", ["task_id", "id"])
    op.create_index("comments_author_id_idx", "comments", ["author_id"])
    op.execute(TRIGGER)


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_table("comments")
