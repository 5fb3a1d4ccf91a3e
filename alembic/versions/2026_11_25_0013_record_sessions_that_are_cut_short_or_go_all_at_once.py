"""Record sessions that are cut short or go all at once.

Revision: 0013
Revises: 0012
Created: 2026-11-25
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

RECORD = """
CREATE FUNCTION record_access_change_of_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO access_changes (subject) VALUES ('00000000-0000-0000-0000-000000000000');
    RETURN NULL;
END
$$
"""
CHANGED = """
CREATE OR REPLACE TRIGGER sessions_access_changed AFTER UPDATE OF {columns} ON sessions FOR EACH ROW
WHEN ({changed}) EXECUTE FUNCTION record_access_change()
"""


def upgrade() -> None:
    """Record no refresh: it moves the end of a session away, which takes nothing from anybody."""
    op.execute(RECORD)
    op.execute(
        CHANGED.format(
            columns="revoked_at, expires_at, user_id",
            changed="OLD.revoked_at IS DISTINCT FROM NEW.revoked_at OR OLD.user_id <> NEW.user_id "
            "OR OLD.expires_at > NEW.expires_at",
        )
    )
    # A TRUNCATE runs no trigger for a row.
    op.execute(
        "CREATE TRIGGER sessions_access_truncated AFTER TRUNCATE ON sessions FOR EACH STATEMENT "
        "EXECUTE FUNCTION record_access_change_of_all()"
    )


def downgrade() -> None:
    """As before."""
    op.execute("DROP TRIGGER sessions_access_truncated ON sessions")
    op.execute(CHANGED.format(columns="revoked_at", changed="OLD.revoked_at IS DISTINCT FROM NEW.revoked_at"))
    op.execute("DROP FUNCTION record_access_change_of_all()")
