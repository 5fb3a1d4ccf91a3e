"""Create users, projects and tasks.

Revision: 0001
Revises: nothing
Created: 2026-11-22
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TOUCH = """
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$
"""


def _identity_and_times() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    ]


def _touched(table: str) -> None:
    # WHEN keeps `updated_at` still where an update changes nothing.
    op.execute(
        f"CREATE TRIGGER {table}_touch_updated_at BEFORE UPDATE ON {table} FOR EACH ROW "
        "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at()"
    )


def upgrade() -> None:
    """Create the first tables."""
    op.execute(TOUCH)
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("hashed_password", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        *_identity_and_times(),
        sa.CheckConstraint("char_length(username) BETWEEN 1 AND 32", name=op.f("users_username_length_check")),
        sa.CheckConstraint("char_length(email) BETWEEN 3 AND 320", name=op.f("users_email_length_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
    )
    op.create_index("users_username_lower_key", "users", [sa.text("lower(username)")], unique=True)
    op.create_index("users_email_lower_key", "users", [sa.text("lower(email)")], unique=True)
    _touched("users")

    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        *_identity_and_times(),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("projects_name_length_check")),
        sa.CheckConstraint("char_length(description) <= 10000", name=op.f("projects_description_length_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("projects_pkey")),
    )
    _touched("projects")

    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("completed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=True),
        *_identity_and_times(),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 500", name=op.f("tasks_title_length_check")),
        sa.CheckConstraint("char_length(description) <= 10000", name=op.f("tasks_description_length_check")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("tasks_project_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("tasks_pkey")),
    )
    op.create_index("tasks_by_priority_idx", "tasks", ["project_id", sa.text("priority DESC"), sa.text("id DESC")])
    _touched("tasks")


def downgrade() -> None:
    """Nothing is left."""
    op.drop_table("tasks")
    op.drop_table("projects")
    op.drop_table("users")
    op.execute("DROP FUNCTION touch_updated_at()")
