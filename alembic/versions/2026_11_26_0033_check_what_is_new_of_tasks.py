"""Check what is new of tasks.

Revision: 0033
Revises: 0032
Created: 2026-11-26
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TOUCH = """
CREATE OR REPLACE FUNCTION touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    {exception}NEW.updated_at := now();
    NEW.version := greatest(OLD.version, version_base()) + 1;
    IF NEW.completed <> OLD.completed THEN
        NEW.completed_at := CASE WHEN NEW.completed THEN now() END;
    END IF;
    RETURN NEW;
END
$$
"""
EXCEPTION = """IF OLD.completed AND OLD.completed_at IS NULL AND NEW.completed AND NEW.completed_at IS NOT NULL THEN
        RETURN NEW;
    END IF;
    """
CHECKS = {
    "tasks_completed_at_check": "completed = (completed_at IS NOT NULL)",
    "tasks_external_id_length_check": "char_length(external_id) BETWEEN 1 AND 200",
}
REFERENCE = "tasks_created_by_fkey"


def upgrade() -> None:
    """End the exception of the backfill, and check new rows; then those that are there, while others write."""
    op.execute(TOUCH.format(exception=""))
    for name, check in CHECKS.items():
        op.create_check_constraint(op.f(name), "tasks", check, postgresql_not_valid=True)
    op.create_foreign_key(
        REFERENCE, "tasks", "users", ["created_by"], ["id"], ondelete="SET NULL", postgresql_not_valid=True
    )
    with op.get_context().autocommit_block():
        for name in (*CHECKS, REFERENCE):
            op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """As before."""
    for name in (*CHECKS, REFERENCE):
        op.drop_constraint(name, "tasks")
    op.execute(TOUCH.format(exception=EXCEPTION))
