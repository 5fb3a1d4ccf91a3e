"""Count the tasks that are there.

Revision: 0004
Revises: 0003
Created: 2026-11-22
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The triggers have counted every change since they were made. What there was before is therefore what there is now less
# what they counted, and one statement sees both at the same moment: it is exact while others write, and locks nobody.
BACKFILL = """
INSERT INTO project_task_counts (project_id, slot, total, completed)
SELECT projects.id, -1, coalesce(there.total, 0) - coalesce(kept.total, 0),
       coalesce(there.completed, 0) - coalesce(kept.completed, 0)
FROM projects
LEFT JOIN (SELECT project_id, count(*) AS total, count(*) FILTER (WHERE completed) AS completed
           FROM tasks GROUP BY 1) AS there ON there.project_id = projects.id
LEFT JOIN (SELECT project_id, sum(total) AS total, sum(completed) AS completed
           FROM project_task_counts GROUP BY 1) AS kept ON kept.project_id = projects.id
WHERE coalesce(there.total, 0) <> coalesce(kept.total, 0)
   OR coalesce(there.completed, 0) <> coalesce(kept.completed, 0)
"""


def upgrade() -> None:
    """From here on the sum of a project's slots is exact."""
    op.execute(BACKFILL)


def downgrade() -> None:
    """As before the backfill."""
    op.execute("DELETE FROM project_task_counts WHERE slot = -1")
