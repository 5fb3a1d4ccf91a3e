"""Number the states of tasks.

Revision: 0009
Revises: 0008
Created: 2026-11-24
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A statement that sets the number itself only moves it on by one.
TOUCH = """
CREATE FUNCTION touch_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$
"""

# Column by column: of a table with a generated column PostgreSQL refuses `OLD.* IS DISTINCT FROM NEW.*` here, also when
# it restores a dump. Whoever adds a column adds it to this condition (a test finds the one that is missing).
CHANGED = """
(OLD.id, OLD.project_id, OLD.title, OLD.description, OLD.priority, OLD.completed, OLD.due_date, OLD.created_at,
    OLD.updated_at, OLD.version)
IS DISTINCT FROM
(NEW.id, NEW.project_id, NEW.title, NEW.description, NEW.priority, NEW.completed, NEW.due_date, NEW.created_at,
    NEW.updated_at, NEW.version)
"""


def upgrade() -> None:
    """Add a column with a constant default, which is written to no row: the table is locked for a moment, whatever its
    size.
    """
    op.execute(TOUCH)
    op.add_column("tasks", sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.execute(
        "CREATE OR REPLACE TRIGGER tasks_touch_updated_at BEFORE UPDATE ON tasks FOR EACH ROW "
        f"WHEN ({CHANGED}) EXECUTE FUNCTION touch_version()"
    )


def downgrade() -> None:
    """Drop the numbers: tags that clients hold match again after as many changes."""
    op.execute(
        "CREATE OR REPLACE TRIGGER tasks_touch_updated_at BEFORE UPDATE ON tasks FOR EACH ROW "
        "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at()"
    )
    op.drop_column("tasks", "version")
    op.execute("DROP FUNCTION touch_version()")
