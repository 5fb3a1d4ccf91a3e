"""Say which tasks wait for others.

Revision: 0035
Revises: 0034
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

MAX_BLOCKERS = 50

# A snapshot that is older than the lock would not show what others have added meanwhile, so it is refused.
ADD = f"""
CREATE FUNCTION add_task_blocker() RETURNS trigger LANGUAGE plpgsql AS $$
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
    -- Neither task may move meanwhile.
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
    IF {MAX_BLOCKERS} <= (
        SELECT count(*) FROM task_blockers WHERE task_id = NEW.task_id AND blocker_id <> NEW.blocker_id
    ) THEN
        RAISE EXCEPTION 'a task has at most {MAX_BLOCKERS} blockers'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'task_blockers_limit';
    END IF;
    RETURN NEW;
END
$$
"""
ADDED = """
CREATE TRIGGER task_blockers_add BEFORE INSERT OR UPDATE ON task_blockers FOR EACH ROW
EXECUTE FUNCTION add_task_blocker()
"""

CARRY = """
CREATE OR REPLACE FUNCTION carry_task_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {leave}-- Before what is in it, as whoever deletes the project locks it.
    PERFORM FROM projects WHERE id = NEW.project_id FOR KEY SHARE;
    IF {labels}NEW.label_ids = OLD.label_ids THEN
        NEW.label_ids := list_of(ARRAY(
            SELECT there.id FROM labels AS here JOIN labels AS there ON fold_case(there.name) = fold_case(here.name)
            WHERE here.id = ANY (ids_in(OLD.label_ids)) AND there.project_id = NEW.project_id FOR KEY SHARE OF there
        ));
    END IF;
    IF {assignees}NEW.assignee_ids = OLD.assignee_ids THEN
        NEW.assignee_ids := list_of(ARRAY(
            SELECT user_id FROM project_members
            WHERE project_id = NEW.project_id AND user_id = ANY (ids_in(OLD.assignee_ids)) FOR KEY SHARE
        ));
    END IF;
    RETURN NEW;
END
$$
"""
LEAVE = """IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'tasks move in READ COMMITTED only' USING ERRCODE = 'feature_not_supported';
    END IF;
    DELETE FROM task_blockers WHERE NEW.id IN (task_id, blocker_id);
    """
CARRIED = """
CREATE OR REPLACE TRIGGER tasks_carry_over BEFORE UPDATE ON tasks FOR EACH ROW
WHEN ({moves}) EXECUTE FUNCTION carry_task_over()
"""
MOVES = "OLD.project_id <> NEW.project_id"


def upgrade() -> None:
    """Add a table, and have tasks that move leave it."""
    op.create_table(
        "task_blockers",
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("task_id", "blocker_id", "project_id")),
        sa.PrimaryKeyConstraint("task_id", "blocker_id", name="task_blockers_pkey"),
        *(
            sa.ForeignKeyConstraint([name], ["tasks.id"], name=f"task_blockers_{name}_fkey", ondelete="CASCADE")
            for name in ("task_id", "blocker_id")
        ),
    )
    op.create_index("task_blockers_by_blocker_idx", "task_blockers", ["blocker_id", "task_id"])
    op.create_index("task_blockers_by_project_idx", "task_blockers", ["project_id", "blocker_id", "task_id"])
    op.execute(ADD)
    op.execute(ADDED)
    op.execute(
        CARRY.format(leave=LEAVE, labels="OLD.label_ids <> '[]' AND ", assignees="OLD.assignee_ids <> '[]' AND ")
    )
    op.execute(CARRIED.format(moves=MOVES))


def downgrade() -> None:
    """Blockers are lost."""
    op.execute(CARRIED.format(moves=f"{MOVES} AND (OLD.label_ids <> '[]' OR OLD.assignee_ids <> '[]')"))
    op.execute(CARRY.format(leave="", labels="", assignees=""))
    op.drop_table("task_blockers")
    op.execute("DROP FUNCTION add_task_blocker()")
