"""Archive projects.

Revision: 0037
Revises: 0036
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

# A backfill that has to change what is archived sets `taller.changes_archived` to `on` for its transaction.
REFUSE = """
CREATE FUNCTION refuse_archived() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('taller.changes_archived', true) = 'on' THEN
        RETURN 0;
    END IF;
    RAISE EXCEPTION 'the project is archived' USING ERRCODE = 'check_violation', CONSTRAINT = 'project_archived';
END
$$
"""
# Those who change something in a project share a lock until their transactions end; who archives it waits until there
# is none, and holds it alone. The flag is read after that, by a statement of its own, which sees what was committed
# while this one waited. (A condition, because PERFORM would run another statement, and takes longer than the lock.)
KEEP_OPEN = """
CREATE FUNCTION keep_open(project uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF pg_advisory_xact_lock_shared(uuid_hash_extended(project, 0)) IS NOT NULL THEN
        PERFORM FROM projects WHERE id = project AND is_archived;
        IF FOUND THEN
            PERFORM refuse_archived();
        END IF;
    END IF;
    RETURN true;
END
$$
"""
ARCHIVE = """
CREATE FUNCTION archive_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT OLD.is_archived THEN
        PERFORM pg_advisory_xact_lock(uuid_hash_extended(OLD.id, 0));
    ELSIF NEW.is_archived AND NEW IS DISTINCT FROM OLD THEN
        PERFORM refuse_archived();
    END IF;
    RETURN NEW;
END
$$
"""
ARCHIVED = """
CREATE TRIGGER projects_archive BEFORE UPDATE ON projects FOR EACH ROW
WHEN (OLD.is_archived OR NEW.is_archived) EXECUTE FUNCTION archive_project()
"""
COLUMNS = ("id", "name", "description", "require_if_match", "created_at", "updated_at", "version")


def _touch(*columns: str) -> str:
    before, after = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return (
        "CREATE OR REPLACE TRIGGER projects_touch_updated_at BEFORE UPDATE ON projects FOR EACH ROW "
        f"WHEN (({before}) IS DISTINCT FROM ({after})) EXECUTE FUNCTION touch_version()"
    )


def upgrade() -> None:
    """Add a column with a constant default, which is written to no row."""
    op.add_column("projects", sa.Column("is_archived", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    for statement in (REFUSE, KEEP_OPEN, ARCHIVE, ARCHIVED, _touch(*COLUMNS, "is_archived")):
        op.execute(statement)


def downgrade() -> None:
    """Make what was archived a project like any other."""
    op.execute(_touch(*COLUMNS))
    op.execute("DROP TRIGGER projects_archive ON projects")
    for function in ("archive_project()", "keep_open(uuid)", "refuse_archived()"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_column("projects", "is_archived")
