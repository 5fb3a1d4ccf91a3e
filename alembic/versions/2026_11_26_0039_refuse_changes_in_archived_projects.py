"""Refuse changes in archived projects.

What follows from another change is not refused: a deleted account leaves archived projects as well. A trigger knows
that by its depth.

Revision: 0039
Revises: 0038
Created: 2026-11-26
"""

from collections.abc import Iterator

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

IN_PROJECT = """
CREATE OR REPLACE FUNCTION in_open_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM keep_open(OLD.project_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM keep_open(NEW.project_id);
    END IF;
    RETURN NULL;
END
$$
"""
# The task is locked, so that it cannot move to another project meanwhile, which would then be archived.
IN_TASK = """
CREATE OR REPLACE FUNCTION in_task_of_open_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM keep_open(project_id) FROM (SELECT project_id FROM tasks WHERE id = OLD.task_id FOR SHARE) AS task;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM keep_open(project_id) FROM (SELECT project_id FROM tasks WHERE id = NEW.task_id FOR SHARE) AS task;
    END IF;
    RETURN NULL;
END
$$
"""
# The function `keep_open` is written out for the project that the task is in: a call would take as long again.
TOUCH = """
CREATE OR REPLACE FUNCTION touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {check}IF NEW IS NOT DISTINCT FROM OLD THEN
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
CHECK = """IF pg_trigger_depth() = 1
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
    """
# New tasks are counted for each statement, and so checked there: a trigger for each row would take longer.
COUNT = """
CREATE OR REPLACE FUNCTION count_tasks_on_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{lock}
    INSERT INTO project_task_counts AS kept (project_id, slot, total, completed)
    SELECT project_id, mod(pg_backend_pid(), 16)::smallint, count(*){check}, count(*) FILTER (WHERE completed)
    FROM after_rows GROUP BY 1 ORDER BY 1
    ON CONFLICT (project_id, slot) DO UPDATE
    SET total = kept.total + excluded.total, completed = kept.completed + excluded.completed;

    RETURN NULL;
END
$$
"""
LOCK = "    PERFORM pg_advisory_xact_lock_shared(uuid_hash_extended(project_id, 0)) FROM after_rows;"
ARCHIVED = """ + CASE
        WHEN (SELECT is_archived FROM projects WHERE id = after_rows.project_id) AND pg_trigger_depth() = 1
        THEN refuse_archived() ELSE 0
    END"""

PARTS = {
    "tasks": ("in_open_project", "DELETE"),
    "labels": ("in_open_project", "INSERT OR UPDATE OR DELETE"),
    "project_members": ("in_open_project", "INSERT OR UPDATE OR DELETE"),
    "task_labels": ("in_open_project", "INSERT OR UPDATE OR DELETE"),
    "task_blockers": ("in_open_project", "INSERT OR UPDATE OR DELETE"),
    "task_assignees": ("in_open_project", "INSERT OR UPDATE OR DELETE"),
    "comments": ("in_task_of_open_project", "INSERT OR UPDATE OR DELETE"),
}
"""By table: the function that refuses changes, and the events after which it runs."""


def _triggers() -> Iterator[tuple[str, str, str, str]]:
    for table, (function, events) in PARTS.items():
        yield table, f"{table}_in_open_project", function, events


def upgrade() -> None:
    """Lock one table at a time, so that a request which holds one of them cannot wait for another."""
    with op.get_context().autocommit_block():
        for function in (IN_PROJECT, IN_TASK, TOUCH.format(check=CHECK), COUNT.format(lock=LOCK, check=ARCHIVED)):
            op.execute(function)
        for table, trigger, function, events in _triggers():
            # AFTER, because whoever locks the project's row, as who archives it does first, has done so by then.
            op.execute(
                f"CREATE OR REPLACE TRIGGER {trigger} AFTER {events} ON {table} FOR EACH ROW "
                f"WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION {function}()"
            )


def downgrade() -> None:
    """Leave it at leaving archived projects out of lists."""
    with op.get_context().autocommit_block():
        for table, trigger, _, _ in _triggers():
            op.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {table}")
        op.execute(TOUCH.format(check=""))
        op.execute(COUNT.format(lock="", check=""))
        for function in ("in_open_project()", "in_task_of_open_project()"):
            op.execute(f"DROP FUNCTION IF EXISTS {function}")
