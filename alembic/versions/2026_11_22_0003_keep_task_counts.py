"""Keep task counts.

The database counts the tasks of each project itself, whoever changes them and by whatever SQL. What was there before is
counted by the next migration; until that has run, counts are not to be read.

Revision: 0003
Revises: 0002
Created: 2026-11-22
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A count is spread over slots, one for each of 16 kinds of connection, so that writers into one project do not wait for
# each other. Only the sum over a project's slots means something; a slot may be negative.
SLOT = "mod(pg_backend_pid(), 16)::smallint"

# In the order of the projects, so that two statements which touch several lock them in the same order. A project that
# is being deleted is not there any more: its counts go by the foreign key.
ADD = f"""
    INSERT INTO project_task_counts AS kept (project_id, slot, total, completed)
    SELECT change.project_id, {SLOT}, change.total, change.completed
    FROM ({{changes}}) AS change JOIN projects ON projects.id = change.project_id
    ORDER BY change.project_id
    ON CONFLICT (project_id, slot) DO UPDATE
    SET total = kept.total + excluded.total, completed = kept.completed + excluded.completed;
"""
GROUPED = """
    SELECT project_id, {sign}count(*) AS total, {sign}count(*) FILTER (WHERE completed) AS completed
    FROM {rows} GROUP BY 1
"""
MOVED = """
    SELECT project_id, sum(one) AS total, sum(done) AS completed FROM (
        SELECT project_id, 1 AS one, completed::int AS done FROM after_rows
        UNION ALL SELECT project_id, -1, -completed::int FROM before_rows
    ) AS both_sides GROUP BY 1 HAVING sum(one) <> 0 OR sum(done) <> 0
"""
FUNCTIONS = {
    "insert": ADD.format(changes=GROUPED.format(sign="", rows="after_rows")),
    "delete": ADD.format(changes=GROUPED.format(sign="-", rows="before_rows")),
    "update": ADD.format(changes=MOVED),
    "truncate": "DELETE FROM project_task_counts;",
}
REFERENCING = {
    "insert": "REFERENCING NEW TABLE AS after_rows",
    "delete": "REFERENCING OLD TABLE AS before_rows",
    "update": "REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows",
    "truncate": "",
}


def upgrade() -> None:
    """Create a table, and triggers that only write to it."""
    op.create_table(
        "project_task_counts",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("project_task_counts_project_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "slot", name=op.f("project_task_counts_pkey")),
    )
    # Room on each page for the next version of a row: counting then touches no index.
    op.execute("ALTER TABLE project_task_counts SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)")
    for event, body in FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION count_tasks_on_{event}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN\n{body}\n    RETURN NULL;\nEND\n$$"
        )
        op.execute(
            f"CREATE TRIGGER tasks_count_on_{event} AFTER {event.upper()} ON tasks {REFERENCING[event]} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION count_tasks_on_{event}()"
        )


def downgrade() -> None:
    """Drop the counts; they can be made again."""
    for event in FUNCTIONS:
        op.execute(f"DROP TRIGGER tasks_count_on_{event} ON tasks")
        op.execute(f"DROP FUNCTION count_tasks_on_{event}()")
    op.drop_table("project_task_counts")
