"""Dates are days, and not infinity.

Revision: 0022
Revises: 0021
Created: 2026-11-25
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """For new rows; those that are there follow."""
    op.execute("ALTER TABLE tasks ADD CONSTRAINT tasks_due_date_check CHECK (isfinite(due_date)) NOT VALID")


def downgrade() -> None:
    """As before."""
    op.drop_constraint("tasks_due_date_check", "tasks")
