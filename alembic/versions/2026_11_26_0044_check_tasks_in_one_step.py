"""Check tasks in one step.

PostgreSQL parses each CHECK constraint and each WHEN clause of a table anew for every statement that writes. Five
constraints and two clauses took a sixth of the time of a new task (docs/decisions/0040-what-writing-a-task-costs.md).

Revision: 0044
Revises: 0043
Created: 2026-11-26
"""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

VALID = """
CREATE OR REPLACE FUNCTION is_valid_task(
    title text, description text, due_date date, external_id text, completed boolean, completed_at timestamptz
) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    -- In PL/pgSQL, because PostgreSQL would write out a function in SQL anew for each statement that writes.
    RETURN char_length(title) BETWEEN 1 AND 500
        AND char_length(description) <= 10000
        AND isfinite(due_date)
        AND char_length(external_id) BETWEEN 1 AND 200
        AND completed = (completed_at IS NOT NULL);
END
$$
"""
ARGUMENTS = "title, description, due_date, external_id, completed, completed_at"
CHECKS = {
    "title_length": "char_length(title) BETWEEN 1 AND 500",
    "description_length": "char_length(description) <= 10000",
    "due_date": "isfinite(due_date)",
    "external_id_length": "char_length(external_id) BETWEEN 1 AND 200",
    "completed_at": "completed = (completed_at IS NOT NULL)",
}

COMPLETE = """
CREATE OR REPLACE FUNCTION complete_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {completes}
    RETURN NEW;
END
$$
"""
COMPLETES = "NEW.completed_at := now();"
COMPLETES_IF = f"""IF NEW.completed AND NEW.completed_at IS NULL THEN
        {COMPLETES}
    END IF;"""
COMPLETED = """
CREATE OR REPLACE TRIGGER tasks_completed BEFORE INSERT ON tasks FOR EACH ROW
{when}EXECUTE FUNCTION complete_task()
"""
# The function looks for itself what there is to keep.
KEPT_NEW = """
CREATE OR REPLACE TRIGGER tasks_keep_inserted AFTER INSERT ON tasks FOR EACH ROW
{when}EXECUTE FUNCTION keep_new_task()
"""
COMPLETED_WHEN = "WHEN (NEW.completed AND NEW.completed_at IS NULL) "
KEPT_WHEN = "WHEN (NEW.label_ids <> '[]' OR NEW.assignee_ids <> '[]' OR NEW.parent_id IS NOT NULL) "


def upgrade() -> None:
    """Check new rows by the function, then those that are there, while others write; then drop what it replaces."""
    with op.get_context().autocommit_block():
        op.execute(VALID)
        op.execute("ALTER TABLE tasks DROP CONSTRAINT IF EXISTS tasks_valid_check")
        op.execute(f"ALTER TABLE tasks ADD CONSTRAINT tasks_valid_check CHECK (is_valid_task({ARGUMENTS})) NOT VALID")
        op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_valid_check")
        dropped = ", ".join(f"DROP CONSTRAINT IF EXISTS tasks_{name}_check" for name in CHECKS)
        op.execute(f"ALTER TABLE tasks {dropped}")
        op.execute(COMPLETE.format(completes=COMPLETES_IF))
        op.execute(COMPLETED.format(when=""))
        op.execute(KEPT_NEW.format(when=""))
        # Room on each new page for the next version of a row: if no index changes, no index is written.
        op.execute("ALTER TABLE tasks SET (fillfactor = 90)")


def downgrade() -> None:
    """As before."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE tasks RESET (fillfactor)")
        op.execute(KEPT_NEW.format(when=KEPT_WHEN))
        op.execute(COMPLETED.format(when=COMPLETED_WHEN))
        op.execute(COMPLETE.format(completes=COMPLETES))
        for name, check in CHECKS.items():
            op.execute(f"ALTER TABLE tasks DROP CONSTRAINT IF EXISTS tasks_{name}_check")
            op.execute(f"ALTER TABLE tasks ADD CONSTRAINT tasks_{name}_check CHECK ({check}) NOT VALID")
            op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT tasks_{name}_check")
        op.execute("ALTER TABLE tasks DROP CONSTRAINT tasks_valid_check")
        op.execute("DROP FUNCTION is_valid_task(text, text, date, text, boolean, timestamptz)")
