"""Number the states of projects.

And let a project ask that whoever changes it, or its tasks, says which state was seen. Apart from the revision before,
because a transaction that holds the locks of two busy tables can wait for a request which waits for it.

Revision: 0010
Revises: 0009
Created: 2026-11-24
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHANGED = """
(OLD.id, OLD.name, OLD.description, OLD.require_if_match, OLD.created_at, OLD.updated_at, OLD.version)
IS DISTINCT FROM
(NEW.id, NEW.name, NEW.description, NEW.require_if_match, NEW.created_at, NEW.updated_at, NEW.version)
"""


def upgrade() -> None:
    """As for tasks."""
    op.add_column(
        "projects", sa.Column("require_if_match", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("projects", sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.execute(
        "CREATE OR REPLACE TRIGGER projects_touch_updated_at BEFORE UPDATE ON projects FOR EACH ROW "
        f"WHEN ({CHANGED}) EXECUTE FUNCTION touch_version()"
    )


def downgrade() -> None:
    """As for tasks; and no project asks for anything any more."""
    op.execute(
        "CREATE OR REPLACE TRIGGER projects_touch_updated_at BEFORE UPDATE ON projects FOR EACH ROW "
        "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at()"
    )
    op.drop_column("projects", "version")
    op.drop_column("projects", "require_if_match")
