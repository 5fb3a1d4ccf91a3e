"""Number changes of rights by their transactions.

Revision: 0011
Revises: 0010
Created: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

THIS_TRANSACTION = "pg_current_xact_id()::text::bigint"


def upgrade() -> None:
    """Give existing rows a constant, which writes none of them; only then set the default that tells transactions
    apart.
    """
    op.add_column(
        "access_changes", sa.Column("transaction_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.alter_column("access_changes", "transaction_id", server_default=sa.text(THIS_TRANSACTION))


def downgrade() -> None:
    """As before."""
    op.drop_column("access_changes", "transaction_id")
