"""Record keys that go all at once.

Revision: 0014
Revises: 0013
Created: 2026-11-25
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As for sessions, apart from them: both tables are busy."""
    op.execute(
        "CREATE TRIGGER api_keys_access_truncated AFTER TRUNCATE ON api_keys FOR EACH STATEMENT "
        "EXECUTE FUNCTION record_access_change_of_all()"
    )


def downgrade() -> None:
    """As before."""
    op.execute("DROP TRIGGER api_keys_access_truncated ON api_keys")
