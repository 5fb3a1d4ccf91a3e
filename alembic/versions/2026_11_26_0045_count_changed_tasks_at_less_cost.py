"""Count changed tasks at less cost.

An update compared all rows before and after it to find that there was nothing to count, and each count was an INSERT
with ON CONFLICT, which takes longer than the UPDATE that it nearly always was
(docs/decisions/0040-what-writing-a-task-costs.md). Counts stay as they are.

Revision: 0045
Revises: 0044
Created: 2026-11-26
"""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# As CREATE TRIGGER locks the table.
LOCK = "LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE"

# The project may be under deletion, with its counts.
ADD = """
CREATE FUNCTION add_to_task_counts(project uuid, more bigint, more_completed bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE project_task_counts AS kept
    SET total = kept.total + more, completed = kept.completed + more_completed
    WHERE kept.project_id = project AND kept.slot = mod(pg_backend_pid(), 16)::smallint;
    IF NOT FOUND THEN
        INSERT INTO project_task_counts AS kept (project_id, slot, total, completed)
        SELECT id, mod(pg_backend_pid(), 16)::smallint, more, more_completed FROM projects WHERE id = project
        ON CONFLICT (project_id, slot) DO UPDATE
        SET total = kept.total + excluded.total, completed = kept.completed + excluded.completed;
    END IF;
END
$$
"""
DELETED = """
    PERFORM add_to_task_counts(project_id, -count(*), -count(*) FILTER (WHERE completed))
    FROM before_rows GROUP BY project_id ORDER BY project_id;
"""
# `touch_task` has run for each row, and says whether there is anything to count. If it has said nothing, there may be.
CHANGED = """
    IF current_setting('taller.task_counts', true) = 'same' THEN
        RETURN NULL;
    END IF;
    PERFORM add_to_task_counts(project_id, sum(one), sum(done)) FROM (
        SELECT project_id, 1 AS one, completed::int AS done FROM after_rows
        UNION ALL SELECT project_id, -1, -completed::int FROM before_rows
    ) AS both_sides GROUP BY project_id HAVING sum(one) <> 0 OR sum(done) <> 0 ORDER BY project_id;
"""

ADD_BEFORE = """
    INSERT INTO project_task_counts AS kept (project_id, slot, total, completed)
    SELECT change.project_id, mod(pg_backend_pid(), 16)::smallint, change.total, change.completed
    FROM ({changes}) AS change JOIN projects ON projects.id = change.project_id
    ORDER BY change.project_id
    ON CONFLICT (project_id, slot) DO UPDATE
    SET total = kept.total + excluded.total, completed = kept.completed + excluded.completed;
"""
DELETED_BEFORE = """
    SELECT project_id, -count(*) AS total, -count(*) FILTER (WHERE completed) AS completed
    FROM before_rows GROUP BY 1
"""
CHANGED_BEFORE = """
    SELECT project_id, sum(one) AS total, sum(done) AS completed FROM (
        SELECT project_id, 1 AS one, completed::int AS done FROM after_rows
        UNION ALL SELECT project_id, -1, -completed::int FROM before_rows
    ) AS both_sides GROUP BY 1 HAVING sum(one) <> 0 OR sum(done) <> 0
"""
UNCHANGED_BEFORE = """
    IF (
        SELECT min(states.state) = max(states.state) FROM (
            SELECT (project_id::text || completed::text) COLLATE "C" AS state FROM after_rows
            UNION ALL SELECT (project_id::text || completed::text) COLLATE "C" FROM before_rows
        ) AS states
    ) THEN
        RETURN NULL;
    END IF;
"""

TOUCH = """
CREATE OR REPLACE FUNCTION touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
{declares}BEGIN
    IF pg_trigger_depth() = 1
        AND pg_advisory_xact_lock_shared(uuid_hash_extended(OLD.project_id, 0)) IS NOT NULL
    THEN
        PERFORM FROM projects WHERE id = OLD.project_id AND is_archived;
        IF FOUND THEN
            PERFORM refuse_archived();
        END IF;
        IF NEW.project_id <> OLD.project_id THEN
            PERFORM keep_open(NEW.project_id);
        END IF;
    END IF;
    {counts}IF OLD.is_parent OR NEW.is_parent THEN
        IF NOT OLD.is_parent AND pg_trigger_depth() > 1 THEN
            RETURN NEW;
        END IF;
        NEW.is_parent := true;
    END IF;
    IF NEW IS NOT DISTINCT FROM OLD THEN
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
DECLARES = """DECLARE
    counts text;
"""
# For the rest of the transaction: one change is enough. Assignments, because PERFORM would run another statement.
COUNTS = """IF NEW.completed <> OLD.completed OR NEW.project_id <> OLD.project_id THEN
        counts := set_config('taller.task_counts', 'change', true);
    ELSIF (current_setting('taller.task_counts', true) IN ('same', 'change')) IS NOT TRUE THEN
        counts := set_config('taller.task_counts', 'same', true);
    END IF;
    """


def _count(event: str, body: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION count_tasks_on_{event}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN\n{body}\n    RETURN NULL;\nEND\n$$"
    )


def upgrade() -> None:
    """Replace functions by others that do the same, while no statement runs that has called some of them already."""
    op.execute(LOCK)
    op.execute(ADD)
    op.execute(TOUCH.format(declares=DECLARES, counts=COUNTS))
    _count("delete", DELETED)
    _count("update", CHANGED)


def downgrade() -> None:
    """As before."""
    op.execute(LOCK)
    _count("update", UNCHANGED_BEFORE + ADD_BEFORE.format(changes=CHANGED_BEFORE))
    _count("delete", ADD_BEFORE.format(changes=DELETED_BEFORE))
    op.execute(TOUCH.format(declares="", counts=""))
    op.execute("DROP FUNCTION add_to_task_counts(uuid, bigint, bigint)")
