"""Say who created a task and when it was completed.

And what it is called where it was imported from.

Revision: 0031
Revises: 0030
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Compares the rows itself: PostgreSQL parses a WHEN clause again for each statement, which for all columns by name took
# an eighth of an update's time.
#
# A task that was completed before this revision gets its time from the next one, which is no change that anybody is to
# notice: until then its time may be set.
TOUCH = """
CREATE FUNCTION touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF OLD.completed AND OLD.completed_at IS NULL AND NEW.completed AND NEW.completed_at IS NOT NULL THEN
        RETURN NEW;
    END IF;
    NEW.updated_at := now();
    NEW.version := greatest(OLD.version, version_base()) + 1;
    IF NEW.completed <> OLD.completed THEN
        NEW.completed_at := CASE WHEN NEW.completed THEN now() END;
    END IF;
    RETURN NEW;
END
$$
"""
COMPLETE = """
CREATE FUNCTION complete_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.completed_at := now();
    RETURN NEW;
END
$$
"""
COLUMNS = (
    *("id", "project_id", "title", "description", "priority", "completed", "due_date"),
    *("created_at", "updated_at", "version", "label_ids", "assignee_ids"),
)
TRIGGER = "CREATE OR REPLACE TRIGGER tasks_touch_updated_at BEFORE UPDATE ON tasks FOR EACH ROW"


def upgrade() -> None:
    """Add columns without a default, which is written to no row."""
    op.execute(TOUCH)
    op.execute(COMPLETE)
    op.add_column("tasks", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("created_by", sa.Uuid(), nullable=True))
    op.add_column("tasks", sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"{TRIGGER} EXECUTE FUNCTION touch_task()")
    op.execute(
        "CREATE TRIGGER tasks_completed BEFORE INSERT ON tasks FOR EACH ROW "
        "WHEN (NEW.completed AND NEW.completed_at IS NULL) EXECUTE FUNCTION complete_task()"
    )


def downgrade() -> None:
    """As before."""
    old, new = (", ".join(f"{row}.{column}" for column in COLUMNS) for row in ("OLD", "NEW"))
    op.execute(f"{TRIGGER} WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION touch_version()")
    op.execute("DROP TRIGGER tasks_completed ON tasks")
    for column in ("completed_at", "created_by", "external_id"):
        op.drop_column("tasks", column)
    op.execute("DROP FUNCTION touch_task()")
    op.execute("DROP FUNCTION complete_task()")
