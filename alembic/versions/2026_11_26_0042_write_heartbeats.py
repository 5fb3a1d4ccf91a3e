"""Write heartbeats, by which a standby shows whom it follows and how far it is.

Revision: 0042
Revises: 0041
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of one row."""
    op.create_table(
        "heartbeats",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("beat", sa.Uuid(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("heartbeats_pkey")),
    )


def downgrade() -> None:
    """As before."""
    op.drop_table("heartbeats")
