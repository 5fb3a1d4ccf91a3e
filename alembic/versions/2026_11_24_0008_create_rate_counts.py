"""Create rate counts.

Revision: 0008
Revises: 0007
Created: 2026-11-24
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create an unlogged table: its counts are worth nothing after a crash, and not writing them twice is what makes
    them cheap.
    """
    op.create_table(
        "rate_counts",
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ends_at", "caller", name=op.f("rate_counts_pkey")),
        prefixes=["UNLOGGED"],
    )
    # Room on each page for the next version of a row: counting then touches no index.
    op.execute("ALTER TABLE rate_counts SET (fillfactor = 50)")


def downgrade() -> None:
    """Drop what was counted."""
    op.drop_table("rate_counts")
