"""Let numbers of states go on from a base.

Revision: 0021
Revises: 0020
Created: 2026-11-25
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Replaced by `taller restored`. STABLE, though it is a constant: the value of an immutable function would stay in the
# plans that connections keep, and this one is written into them by a copy that is dropped when it is replaced.
BASE = "CREATE FUNCTION version_base() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 0'"
TOUCH = """
CREATE OR REPLACE FUNCTION touch_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    NEW.version := {version};
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    """No table is locked, and until a backup is restored nothing changes."""
    op.execute(BASE)
    op.execute(TOUCH.format(version="greatest(OLD.version, version_base()) + 1"))


def downgrade() -> None:
    """After a restored backup, tags may match again what they named before."""
    op.execute(TOUCH.format(version="OLD.version + 1"))
    op.execute("DROP FUNCTION version_base()")
