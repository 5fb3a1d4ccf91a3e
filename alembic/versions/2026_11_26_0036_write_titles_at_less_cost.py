"""Write titles at less cost.

An update of a title looked for what there was to count, and PostgreSQL parsed the WHEN clauses of three triggers that
are about other columns (docs/decisions/0040-what-writing-a-task-costs.md). Counts, words and lists stay as they are.

Revision: 0036
Revises: 0035
Created: 2026-11-26
"""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

ADD = """
    INSERT INTO project_task_counts AS kept (project_id, slot, total, completed)
    {changes}
    ON CONFLICT (project_id, slot) DO UPDATE
    SET total = kept.total + excluded.total, completed = kept.completed + excluded.completed;
"""
COUNTED = """SELECT change.project_id, mod(pg_backend_pid(), 16)::smallint, change.total, change.completed
    FROM ({changes}) AS change JOIN projects ON projects.id = change.project_id
    ORDER BY change.project_id"""
GROUPED = """
    SELECT project_id, count(*) AS total, count(*) FILTER (WHERE completed) AS completed
    FROM after_rows GROUP BY 1
"""
MOVED = """
    SELECT project_id, sum(one) AS total, sum(done) AS completed FROM (
        SELECT project_id, 1 AS one, completed::int AS done FROM after_rows
        UNION ALL SELECT project_id, -1, -completed::int FROM before_rows
    ) AS both_sides GROUP BY 1 HAVING sum(one) <> 0 OR sum(done) <> 0
"""
# Most updates are of one row and change neither its project nor whether it is completed: nothing to count.
UNCHANGED = """
    IF (
        SELECT min(states.state) = max(states.state) FROM (
            SELECT (project_id::text || completed::text) COLLATE "C" AS state FROM after_rows
            UNION ALL SELECT (project_id::text || completed::text) COLLATE "C" FROM before_rows
        ) AS states
    ) THEN
        RETURN NULL;
    END IF;
"""
# The foreign key has found the project of a new task, and holds it, before its statement is counted.
NEW = """SELECT project_id, mod(pg_backend_pid(), 16)::smallint, count(*), count(*) FILTER (WHERE completed)
    FROM after_rows GROUP BY 1 ORDER BY 1"""

# In PL/pgSQL, because PostgreSQL would write out a function in SQL anew for each statement that writes.
WORDS = """
CREATE OR REPLACE FUNCTION search_words_in(words tsvector, container uuid) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN replace(
        ' '''' ' || words::text, ' ''', ' ''' || rtrim(encode(uuid_send(container), 'base64'), '=')
    )::tsvector;
END
$$
"""
WORDS_BEFORE = """
CREATE OR REPLACE FUNCTION search_words_in(words tsvector, container uuid) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(' '''' ' || words::text, ' ''', ' ''' || search_key(container))::tsvector
"""

LISTS = {"label": "label_ids", "assignee": "assignee_ids"}


def _count(event: str, body: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION count_tasks_on_{event}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN\n{body}\n    RETURN NULL;\nEND\n$$"
    )


def _words(function: str) -> None:
    op.execute(function)
    # Open sessions look at the index again, as in revision 0026.
    op.execute("ALTER INDEX tasks_words_idx ALTER COLUMN 1 SET STATISTICS -1")


def _triggers(*, by_columns: bool) -> None:
    # A trigger of named columns is left out before its WHEN clause is parsed. No other trigger changes these columns,
    # except `tasks_carry_over`, which itself is about a change of the project.
    for one, ids in LISTS.items():
        columns = f" OF {ids}, project_id" if by_columns else ""
        op.execute(
            f"CREATE OR REPLACE TRIGGER tasks_keep_{one}s_updated AFTER UPDATE{columns} ON tasks FOR EACH ROW "
            f"WHEN (OLD.{ids} <> NEW.{ids} OR (OLD.project_id <> NEW.project_id AND NEW.{ids} <> '[]')) "
            f"EXECUTE FUNCTION keep_task_{one}s()"
        )
    columns = " OF project_id" if by_columns else ""
    op.execute(
        f"CREATE OR REPLACE TRIGGER tasks_carry_over BEFORE UPDATE{columns} ON tasks FOR EACH ROW "
        "WHEN (OLD.project_id <> NEW.project_id) EXECUTE FUNCTION carry_task_over()"
    )


def upgrade() -> None:
    """Replace functions and triggers by others that do the same."""
    _count("update", UNCHANGED + ADD.format(changes=COUNTED.format(changes=MOVED)))
    _count("insert", ADD.format(changes=NEW))
    _words(WORDS)
    _triggers(by_columns=True)


def downgrade() -> None:
    """As before."""
    _triggers(by_columns=False)
    _words(WORDS_BEFORE)
    _count("insert", ADD.format(changes=COUNTED.format(changes=GROUPED)))
    _count("update", ADD.format(changes=COUNTED.format(changes=MOVED)))
