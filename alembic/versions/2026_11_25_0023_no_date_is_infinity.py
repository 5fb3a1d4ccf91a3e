"""No date is infinity: the first and the last day that can be written were stored as it.

Revision: 0023
Revises: 0022
Created: 2026-11-25
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As a rule there is none."""
    op.execute("""
        UPDATE tasks SET due_date = CASE WHEN due_date = 'infinity' THEN '9999-12-31' ELSE '0001-01-01' END::date
        WHERE NOT isfinite(due_date)
    """)
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_due_date_check")


def downgrade() -> None:
    """Keep the days, as they are what was meant."""
    op.execute("ALTER TABLE tasks DROP CONSTRAINT tasks_due_date_check")
    op.execute("ALTER TABLE tasks ADD CONSTRAINT tasks_due_date_check CHECK (isfinite(due_date)) NOT VALID")
