"""Let tasks consist of others.

A task has a parent, in the same project. How many subtasks it has is not kept but counted, of those tasks that have or
had some (docs/decisions/0036-subtasks.md).

Revision: 0040
Revises: 0039
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

MAX_LEVELS = 10
MAX_LISTED = 20

# In PL/pgSQL, because PostgreSQL would write out a function in SQL anew for each statement that names it. It reads a
# table and says IMMUTABLE all the same, because Citus refuses others in RETURNING: statements give it a column, so that
# nothing is computed ahead.
COUNT = """
CREATE FUNCTION subtasks_of(task_id uuid) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        SELECT ARRAY[count(*), count(*) FILTER (WHERE completed)]::integer[] FROM tasks WHERE parent_id = task_id
    );
END
$$
"""

# Called after the statement, so that it judges what all of its changes have made. A snapshot that is older than the
# lock would not show what others have done meanwhile, so it is refused.
PLACE = f"""
CREATE FUNCTION place_task(task uuid, parent uuid, project uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    above integer;
    below integer;
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'subtasks are placed in READ COMMITTED only' USING ERRCODE = 'feature_not_supported';
    END IF;
    -- One after the other in each project.
    PERFORM FROM projects WHERE id = project FOR NO KEY UPDATE;
    -- The parent may neither move nor go meanwhile.
    PERFORM FROM tasks WHERE id = parent AND project_id = project FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the parent has to be in the project'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'tasks_parent_id_project';
    END IF;
    UPDATE tasks SET is_parent = true WHERE id = parent AND NOT is_parent;
    WITH RECURSIVE ancestors AS (
        SELECT parent AS id, 1 AS level
        UNION ALL
        SELECT tasks.parent_id, level + 1 FROM ancestors JOIN tasks USING (id)
        WHERE tasks.parent_id IS NOT NULL AND ancestors.id <> task AND level <= {MAX_LEVELS}
    )
    SELECT CASE WHEN bool_or(id = task) THEN -1 ELSE max(level) END INTO above FROM ancestors;
    IF above < 0 THEN
        RAISE EXCEPTION 'a task would be below itself'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_parent_id_cycle';
    END IF;
    WITH RECURSIVE descendants AS (
        SELECT task AS id, 1 AS level
        UNION ALL
        SELECT tasks.id, level + 1 FROM descendants JOIN tasks ON tasks.parent_id = descendants.id
        WHERE level <= {MAX_LEVELS}
    )
    SELECT max(level) INTO below FROM descendants;
    IF above + below > {MAX_LEVELS} THEN
        RAISE EXCEPTION 'tasks have at most {MAX_LEVELS} levels'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_parent_id_levels';
    END IF;
END
$$
"""
# Triggers of named columns are left out of statements that do not name them.
UPDATED = """
CREATE FUNCTION place_updated_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM place_task(NEW.id, NEW.parent_id, NEW.project_id);
    RETURN NULL;
END
$$
"""
PLACE_UPDATED = """
CREATE TRIGGER tasks_place_updated AFTER UPDATE OF parent_id ON tasks FOR EACH ROW
WHEN (NEW.parent_id IS NOT NULL AND OLD.parent_id IS DISTINCT FROM NEW.parent_id) EXECUTE FUNCTION place_updated_task()
"""
TAKE_ALONG = """
CREATE FUNCTION take_subtasks_along() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks SET project_id = NEW.project_id WHERE parent_id = NEW.id AND project_id <> NEW.project_id;
    RETURN NULL;
END
$$
"""
# By its name it comes before `tasks_place_updated`, which then finds the whole tree in one project.
TAKEN_ALONG = """
CREATE TRIGGER tasks_along AFTER UPDATE OF project_id ON tasks FOR EACH ROW
WHEN (OLD.project_id <> NEW.project_id AND NEW.is_parent) EXECUTE FUNCTION take_subtasks_along()
"""

# One trigger for the two lists and the parent of a new task: PostgreSQL parses each WHEN clause for each statement.
LIST = """
    IF NEW.{ids} <> '[]' THEN
        ids := ids_in(NEW.{ids});
        IF NEW.{ids} <> list_of(ids) THEN
            RAISE EXCEPTION 'tasks.{ids} has to be what list_of() makes'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_{ids}_form';
        ELSIF cardinality(ids) > {most} THEN
            RAISE EXCEPTION 'tasks.{ids} lists at most {most}'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_{ids}_limit';
        END IF;
        INSERT INTO task_{one}s (task_id, {id_name}, project_id)
        SELECT NEW.id, listed, NEW.project_id FROM unnest(ids) AS listed ON CONFLICT DO NOTHING;
    END IF;"""
LISTS = {"label": "label_id", "assignee": "user_id"}
KEEP_LISTS = "".join(
    LIST.format(one=one, id_name=id_name, ids=f"{one}_ids", most=MAX_LISTED) for one, id_name in LISTS.items()
)
KEEP_NEW = f"""
CREATE FUNCTION keep_new_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[];
BEGIN{KEEP_LISTS}
    IF NEW.parent_id IS NOT NULL THEN
        PERFORM place_task(NEW.id, NEW.parent_id, NEW.project_id);
    END IF;
    RETURN NULL;
END
$$
"""
KEPT_NEW = """
CREATE TRIGGER tasks_keep_inserted AFTER INSERT ON tasks FOR EACH ROW
WHEN (NEW.label_ids <> '[]' OR NEW.assignee_ids <> '[]' OR NEW.parent_id IS NOT NULL)
EXECUTE FUNCTION keep_new_task()
"""
KEPT_BEFORE = """
CREATE TRIGGER tasks_keep_{one}s_inserted AFTER INSERT ON tasks FOR EACH ROW
WHEN (NEW.{one}_ids <> '[]') EXECUTE FUNCTION keep_task_{one}s()
"""

CARRY = """
CREATE OR REPLACE FUNCTION carry_task_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'tasks move in READ COMMITTED only' USING ERRCODE = 'feature_not_supported';
    END IF;
    DELETE FROM task_blockers WHERE NEW.id IN (task_id, blocker_id);
    -- Before what is in it, as whoever deletes the project locks it.
    PERFORM FROM projects WHERE id = NEW.project_id FOR KEY SHARE;
    {parent}IF OLD.label_ids <> '[]' AND NEW.label_ids = OLD.label_ids THEN
        NEW.label_ids := list_of(ARRAY(
            SELECT there.id FROM labels AS here JOIN labels AS there ON fold_case(there.name) = fold_case(here.name)
            WHERE here.id = ANY (ids_in(OLD.label_ids)) AND there.project_id = NEW.project_id FOR KEY SHARE OF there
        ));
    END IF;
    IF OLD.assignee_ids <> '[]' AND NEW.assignee_ids = OLD.assignee_ids THEN
        NEW.assignee_ids := list_of(ARRAY(
            SELECT user_id FROM project_members
            WHERE project_id = NEW.project_id AND user_id = ANY (ids_in(OLD.assignee_ids)) FOR KEY SHARE
        ));
    END IF;
    RETURN NEW;
END
$$
"""
PARENT = """-- Who moves alone leaves the parent; below a task that moves, the parent is there already.
    IF NEW.parent_id = OLD.parent_id AND NOT EXISTS (
        SELECT FROM tasks WHERE id = NEW.parent_id AND project_id = NEW.project_id
    ) THEN
        NEW.parent_id := NULL;
    END IF;
    """

TOUCH = """
CREATE OR REPLACE FUNCTION touch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
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
    {parent}IF NEW IS NOT DISTINCT FROM OLD THEN
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
# Nobody is to hide subtasks. A task that gets its first one is not changed itself.
IS_PARENT = """IF OLD.is_parent OR NEW.is_parent THEN
        IF NOT OLD.is_parent AND pg_trigger_depth() > 1 THEN
            RETURN NEW;
        END IF;
        NEW.is_parent := true;
    END IF;
    """


def upgrade() -> None:
    """Add columns whose default is written to no row; what is there has no parent, so that nothing is to be checked."""
    op.add_column("tasks", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.add_column("tasks", sa.Column("is_parent", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    for statement in (COUNT, PLACE, UPDATED, PLACE_UPDATED, TAKE_ALONG, TAKEN_ALONG, KEEP_NEW, KEPT_NEW):
        op.execute(statement)
    for one in LISTS:
        op.execute(f"DROP TRIGGER tasks_keep_{one}s_inserted ON tasks")
    op.execute(CARRY.format(parent=PARENT))
    op.execute(TOUCH.format(parent=IS_PARENT))


def downgrade() -> None:
    """Which task belongs to which other one is lost."""
    op.execute(TOUCH.format(parent=""))
    op.execute(CARRY.format(parent=""))
    for one in LISTS:
        op.execute(KEPT_BEFORE.format(one=one))
    for trigger in ("keep_inserted", "along", "place_updated"):
        op.execute(f"DROP TRIGGER tasks_{trigger} ON tasks")
    for column in ("is_parent", "parent_id"):
        op.drop_column("tasks", column)
    for function in (
        "keep_new_task()",
        "take_subtasks_along()",
        "place_updated_task()",
        "place_task(uuid, uuid, uuid)",
        "subtasks_of(uuid)",
    ):
        op.execute(f"DROP FUNCTION {function}")
