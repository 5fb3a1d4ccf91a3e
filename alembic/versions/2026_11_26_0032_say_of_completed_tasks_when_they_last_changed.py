"""Say of completed tasks when they last changed: since then at the latest they are completed.

Who created the tasks that are there, nobody knows.

Revision: 0032
Revises: 0031
Created: 2026-11-26
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

# Some at a time, each in a transaction of its own, so that nobody waits for long. It waits for nobody either, whatever
# order they lock rows in: what others hold comes in another turn. What is completed meanwhile has its time from the
# trigger.
BACKFILL = """
DO $$
DECLARE
    start CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    last uuid := start;
BEGIN
    LOOP
        WITH batch AS MATERIALIZED (
            SELECT id FROM tasks WHERE id > last AND completed AND completed_at IS NULL
            ORDER BY id LIMIT 5000 FOR NO KEY UPDATE SKIP LOCKED
        ), filled AS (
            UPDATE tasks SET completed_at = updated_at FROM batch WHERE tasks.id = batch.id
        )
        SELECT id INTO last FROM batch ORDER BY id DESC LIMIT 1;
        COMMIT;
        IF last IS NULL THEN
            EXIT WHEN NOT EXISTS (SELECT FROM tasks WHERE completed AND completed_at IS NULL);
            PERFORM pg_sleep(0.1);
            last := start;
        END IF;
    END LOOP;
END
$$
"""


def upgrade() -> None:
    """Fill the column while others write. Neither versions nor times of changes move."""
    with op.get_context().autocommit_block():
        op.execute(BACKFILL)


def downgrade() -> None:
    """Leave the times: the revision before has them, too."""
