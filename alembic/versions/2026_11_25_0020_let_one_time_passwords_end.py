"""Let one-time passwords end.

Revision: 0020
Revises: 0019
Created: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

RECORDED = """
CREATE OR REPLACE TRIGGER users_access_changed AFTER UPDATE OF {columns} ON users FOR EACH ROW
WHEN ({changed}) EXECUTE FUNCTION record_access_change()
"""
BEFORE = ("is_active", "is_superuser")
AFTER = (*BEFORE, "password_state", "password_expires_at")


def _record(columns: tuple[str, ...]) -> None:
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    op.execute(RECORDED.format(columns=", ".join(columns), changed=changed))


def upgrade() -> None:
    """Those that were handed out before end after a week, and so do the sessions that began with one."""
    op.add_column("users", sa.Column("password_expires_at", sa.DateTime(timezone=True)))
    _record(AFTER)
    op.execute("UPDATE users SET password_expires_at = now() + interval '7 days' WHERE password_state <> 'chosen'")


def downgrade() -> None:
    """They never end again."""
    _record(BEFORE)
    op.drop_column("users", "password_expires_at")
