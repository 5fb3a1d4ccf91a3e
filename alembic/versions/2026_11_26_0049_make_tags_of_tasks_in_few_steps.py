"""Make tags of tasks in few steps.

PostgreSQL prepares every part of an expression each time that a statement runs. What only tasks with subtasks need of
their tag took a tenth of the time of reading a task (docs/decisions/0040-what-writing-a-task-costs.md). Now it is one
call. Tags stay as they are.

Revision: 0049
Revises: 0048
Created: 2026-11-26
"""

from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the function. The release before makes tags without it."""
    op.execute(
        """
        CREATE FUNCTION end_of_tag(counts integer[]) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        BEGIN
            RETURN '.' || counts[1]::text || '.' || counts[2]::text || '"';
        END
        $$
        """
    )


def downgrade() -> None:
    """As before."""
    op.execute("DROP FUNCTION end_of_tag(integer[])")
