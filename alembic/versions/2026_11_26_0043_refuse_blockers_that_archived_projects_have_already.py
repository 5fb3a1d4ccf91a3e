"""Refuse blockers that archived projects have already.

The check of revision 0039 comes after a row is inserted. Where the row is there already, none is inserted, so that the
answer was that of any other project.

Revision: 0043
Revises: 0042
Created: 2026-11-26
"""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

ADD = """
CREATE OR REPLACE FUNCTION add_task_blocker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'rows of task_blockers do not change: delete them and insert others'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'blockers are added in READ COMMITTED only' USING ERRCODE = 'feature_not_supported';
    END IF;
    -- One after the other in each project.
    PERFORM FROM projects WHERE id = NEW.project_id FOR NO KEY UPDATE;
    {check}-- Neither task may move meanwhile.
    IF 2 > (
        SELECT count(*) + (NEW.task_id = NEW.blocker_id)::int FROM (
            SELECT FROM tasks WHERE id IN (NEW.task_id, NEW.blocker_id) AND project_id = NEW.project_id
            ORDER BY id FOR SHARE
        ) AS held
    ) THEN
        RAISE EXCEPTION 'both tasks have to be in the project'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'task_blockers_project';
    END IF;
    IF EXISTS (
        WITH RECURSIVE needed AS (
            SELECT NEW.blocker_id AS id
            UNION SELECT found.blocker_id FROM needed JOIN task_blockers AS found ON found.task_id = needed.id
        )
        SELECT FROM needed WHERE id = NEW.task_id
    ) THEN
        RAISE EXCEPTION 'a task would wait for itself'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'task_blockers_cycle';
    END IF;
    IF 50 <= (
        SELECT count(*) FROM task_blockers WHERE task_id = NEW.task_id AND blocker_id <> NEW.blocker_id
    ) THEN
        RAISE EXCEPTION 'a task has at most 50 blockers'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'task_blockers_limit';
    END IF;
    RETURN NEW;
END
$$
"""
# After the project's row is locked, as who archives it locks that first.
CHECK = """IF pg_trigger_depth() = 1 THEN
        PERFORM keep_open(NEW.project_id);
    END IF;
    """


def upgrade() -> None:
    """Replace a function by one that checks first."""
    op.execute(ADD.format(check=CHECK))


def downgrade() -> None:
    """As before."""
    op.execute(ADD.format(check=""))
