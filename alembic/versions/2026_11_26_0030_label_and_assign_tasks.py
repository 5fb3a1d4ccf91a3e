"""Label and assign tasks.

A task's lists are kept twice: with the task, as the JSON text that answers have, and as rows that refer to what is
listed. Statements write and read the texts; triggers keep the rows, by which tasks are found and foreign keys see to it
that whatever is listed is there (docs/decisions/0035-labels-and-assignees.md).

Revision: 0030
Revises: 0029
Created: 2026-11-26
"""

from dataclasses import dataclass

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

MAX_LISTED = 20


@dataclass(frozen=True)
class Listed:
    """One of the two lists."""

    one: str
    """What the table and the functions call one of them."""

    id_name: str
    """The column by which the rows refer to one."""

    source: str
    """The table that they refer to."""

    source_id: str

    @property
    def table(self) -> str:
        """The table of the rows."""
        return f"task_{self.one}s"

    @property
    def ids(self) -> str:
        """The column of tasks."""
        return f"{self.one}_ids"


LISTS = (
    Listed("label", "label_id", "labels", "id"),
    Listed("assignee", "user_id", "project_members", "user_id"),
)

READ = """
CREATE FUNCTION ids_in(list text) RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN translate(list, '[]', '{}')::uuid[]
"""
WRITE = """
CREATE FUNCTION list_of(ids uuid[]) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT coalesce('["' || string_agg(id::text, '","' ORDER BY id) || '"]', '[]')
    FROM (SELECT DISTINCT unnest(ids) AS id) AS found
)
"""

# The rows follow the task's list, in whatever way it is changed.
KEEP = """
CREATE FUNCTION keep_task_{one}s() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids CONSTANT uuid[] := ids_in(NEW.{ids});
BEGIN
    IF NEW.{ids} <> list_of(ids) THEN
        RAISE EXCEPTION 'tasks.{ids} has to be what list_of() makes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_{ids}_form';
    ELSIF cardinality(ids) > {most} THEN
        RAISE EXCEPTION 'tasks.{ids} lists at most {most}'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_{ids}_limit';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM {table} WHERE task_id = NEW.id AND (project_id <> NEW.project_id OR {id_name} <> ALL (ids));
    END IF;
    INSERT INTO {table} (task_id, {id_name}, project_id)
    SELECT NEW.id, listed, NEW.project_id FROM unnest(ids) AS listed ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$
"""
KEEP_INSERTED = """
CREATE TRIGGER tasks_keep_{one}s_inserted AFTER INSERT ON tasks FOR EACH ROW
WHEN (NEW.{ids} <> '[]') EXECUTE FUNCTION keep_task_{one}s()
"""
KEEP_UPDATED = """
CREATE TRIGGER tasks_keep_{one}s_updated AFTER UPDATE ON tasks FOR EACH ROW
WHEN (OLD.{ids} <> NEW.{ids} OR (OLD.project_id <> NEW.project_id AND NEW.{ids} <> '[]'))
EXECUTE FUNCTION keep_task_{one}s()
"""

# The task's list follows the rows, where somebody changes those. Who adds one reads the task as it is now, whatever the
# isolation level.
FOLLOW = """
CREATE FUNCTION follow_task_{one}s() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE tasks SET {ids} = '[]' WHERE {ids} <> '[]';
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE tasks SET {ids} = list_of(array_remove(ids_in({ids}), OLD.{id_name}))
        WHERE id = OLD.task_id AND project_id = OLD.project_id AND OLD.{id_name} = ANY (ids_in({ids}));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM FROM tasks
        WHERE id = NEW.task_id AND project_id = NEW.project_id AND NEW.{id_name} = ANY (ids_in({ids})) FOR SHARE;
        IF NOT FOUND THEN
            UPDATE tasks SET {ids} = list_of(array_append(ids_in({ids}), NEW.{id_name}))
            WHERE id = NEW.task_id AND project_id = NEW.project_id;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the task is not in this project'
                    USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '{table}_project';
            END IF;
        END IF;
    END IF;
    RETURN NULL;
END
$$
"""
FOLLOW_ROW = """
CREATE TRIGGER {table}_follow AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
EXECUTE FUNCTION follow_task_{one}s()
"""
FOLLOW_TRUNCATED = """
CREATE TRIGGER {table}_follow_truncated AFTER TRUNCATE ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION follow_task_{one}s()
"""

# What goes is taken off its tasks: in the order of their ids, as whoever else changes several tasks locks them.
TAKE_OFF = """
CREATE FUNCTION take_{one}_off_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks SET {ids} = list_of(array_remove(ids_in({ids}), OLD.{source_id}))
    FROM (
        SELECT id FROM tasks
        WHERE id = ANY (ARRAY(
            SELECT task_id FROM {table} WHERE {id_name} = OLD.{source_id} AND project_id = OLD.project_id
        ))
        ORDER BY id FOR NO KEY UPDATE
    ) AS held
    WHERE tasks.id = held.id;
    RETURN OLD;
END
$$
"""
TAKEN_OFF = """
CREATE TRIGGER {source}_take_off_tasks BEFORE DELETE ON {source} FOR EACH ROW EXECUTE FUNCTION take_{one}_off_tasks()
"""

# A task that moves keeps what there is in its new project as well: labels of the same name, members.
CARRY = """
CREATE FUNCTION carry_task_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Before what is in it, as whoever deletes the project locks it.
    PERFORM FROM projects WHERE id = NEW.project_id FOR KEY SHARE;
    IF NEW.label_ids = OLD.label_ids THEN
        NEW.label_ids := list_of(ARRAY(
            SELECT there.id FROM labels AS here JOIN labels AS there ON fold_case(there.name) = fold_case(here.name)
            WHERE here.id = ANY (ids_in(OLD.label_ids)) AND there.project_id = NEW.project_id FOR KEY SHARE OF there
        ));
    END IF;
    IF NEW.assignee_ids = OLD.assignee_ids THEN
        NEW.assignee_ids := list_of(ARRAY(
            SELECT user_id FROM project_members
            WHERE project_id = NEW.project_id AND user_id = ANY (ids_in(OLD.assignee_ids)) FOR KEY SHARE
        ));
    END IF;
    RETURN NEW;
END
$$
"""
CARRIED = """
CREATE TRIGGER tasks_carry_over BEFORE UPDATE ON tasks FOR EACH ROW
WHEN (OLD.project_id <> NEW.project_id AND (OLD.label_ids <> '[]' OR OLD.assignee_ids <> '[]'))
EXECUTE FUNCTION carry_task_over()
"""

COLUMNS = (
    *("id", "project_id", "title", "description", "priority", "completed", "due_date"),
    *("created_at", "updated_at", "version"),
)


def _touch(*columns: str) -> str:
    before, after = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return (
        "CREATE OR REPLACE TRIGGER tasks_touch_updated_at BEFORE UPDATE ON tasks FOR EACH ROW "
        f"WHEN (({before}) IS DISTINCT FROM ({after})) EXECUTE FUNCTION touch_version()"
    )


def _make(listed: Listed) -> None:
    words = {
        "one": listed.one,
        "id_name": listed.id_name,
        "ids": listed.ids,
        "table": listed.table,
        "source": listed.source,
        "source_id": listed.source_id,
        "most": MAX_LISTED,
    }
    for statement in (
        KEEP,
        KEEP_INSERTED,
        KEEP_UPDATED,
        FOLLOW,
        FOLLOW_ROW,
        FOLLOW_TRUNCATED,
        TAKE_OFF,
        TAKEN_OFF,
    ):
        op.execute(statement.format(**words))


def upgrade() -> None:
    """Add columns with a constant default, which is written to no row, and tables."""
    for statement in (READ, WRITE):
        op.execute(statement)
    op.create_unique_constraint("labels_id_project_id_key", "labels", ["id", "project_id"])
    for listed in LISTS:
        op.add_column("tasks", sa.Column(listed.ids, sa.Text(), server_default="[]", nullable=False))
        references = [sa.Column(name, sa.Uuid(), nullable=False) for name in ("task_id", listed.id_name, "project_id")]
        op.create_table(
            listed.table,
            *references,
            sa.PrimaryKeyConstraint("task_id", listed.id_name, name=f"{listed.table}_pkey"),
            sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=f"{listed.table}_task_id_fkey", ondelete="CASCADE"),
            sa.ForeignKeyConstraint(
                [listed.id_name, "project_id"],
                [f"{listed.source}.{listed.source_id}", f"{listed.source}.project_id"],
                name=f"{listed.table}_{listed.id_name}_project_id_fkey",
            ),
        )
        op.create_index(f"{listed.table}_by_{listed.one}_idx", listed.table, [listed.id_name, "project_id", "task_id"])
        _make(listed)
    op.execute(CARRY)
    op.execute(CARRIED)
    op.execute(_touch(*COLUMNS, "label_ids", "assignee_ids"))


def downgrade() -> None:
    """Labels and assignees of tasks are lost."""
    op.execute(_touch(*COLUMNS))
    op.execute("DROP TRIGGER tasks_carry_over ON tasks")
    op.execute("DROP FUNCTION carry_task_over()")
    for listed in LISTS:
        op.execute(f"DROP TRIGGER {listed.source}_take_off_tasks ON {listed.source}")
        op.execute(f"DROP FUNCTION take_{listed.one}_off_tasks()")
        for event in ("inserted", "updated"):
            op.execute(f"DROP TRIGGER tasks_keep_{listed.one}s_{event} ON tasks")
        op.execute(f"DROP FUNCTION keep_task_{listed.one}s()")
        op.drop_table(listed.table)
        op.execute(f"DROP FUNCTION follow_task_{listed.one}s()")
        op.drop_column("tasks", listed.ids)
    op.drop_constraint("labels_id_project_id_key", "labels")
    for function in ("list_of(uuid[])", "ids_in(text)"):
        op.execute(f"DROP FUNCTION {function}")
