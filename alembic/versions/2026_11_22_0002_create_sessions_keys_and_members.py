"""Create sessions, keys and members.

The first administrator becomes the owner of the projects that exist.

Revision: 0002
Revises: 0001
Created: 2026-11-22
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RECORD = """
CREATE FUNCTION record_access_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO access_changes (subject) VALUES (OLD.id);
    RETURN NULL;
END
$$
"""


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    default = sa.func.now() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def _recorded(table: str, *columns: str) -> None:
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    op.execute(
        f"CREATE TRIGGER {table}_access_changed AFTER UPDATE OF {', '.join(columns)} ON {table} FOR EACH ROW "
        f"WHEN ({changed}) EXECUTE FUNCTION record_access_change()"
    )
    # Cascades fire it too: what is deleted is refused as soon as what is revoked.
    op.execute(
        f"CREATE TRIGGER {table}_access_ended AFTER DELETE ON {table} FOR EACH ROW "
        "EXECUTE FUNCTION record_access_change()"
    )


def upgrade() -> None:
    """Only additions: the release before this one runs on the result."""
    op.add_column("users", sa.Column("password_state", sa.Text(), server_default=sa.text("'chosen'"), nullable=False))
    op.create_check_constraint(
        op.f("users_password_state_check"), "users", "password_state IN ('chosen', 'one_time', 'spent')"
    )

    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("refresh_hash", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("user_agent", sa.Text()),
        sa.Column("address", sa.Text()),
        _moment("created_at", now=True),
        _moment("refreshed_at", now=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        _moment("revoked_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("sessions_user_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("sessions_pkey")),
    )
    op.create_index("sessions_user_id_idx", "sessions", ["user_id", sa.text("id DESC")])
    op.create_index("sessions_expires_at_idx", "sessions", ["expires_at"])

    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("project_id", sa.Uuid()),
        _moment("created_at", now=True),
        _moment("expires_at"),
        _moment("last_used_at"),
        _moment("revoked_at"),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 100", name=op.f("api_keys_name_length_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("api_keys_user_id_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("api_keys_project_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("secret_hash", name=op.f("api_keys_secret_hash_key")),
    )
    op.create_index("api_keys_user_id_idx", "api_keys", ["user_id", sa.text("id DESC")])
    op.create_index(
        "api_keys_project_id_idx", "api_keys", ["project_id"], postgresql_where=sa.text("project_id IS NOT NULL")
    )

    op.create_table(
        "attempts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("resets_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("attempts_pkey")),
    )
    op.create_index("attempts_resets_at_idx", "attempts", ["resets_at"])

    op.create_table(
        "access_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("access_changes_pkey")),
    )
    op.create_index("access_changes_changed_at_idx", "access_changes", ["changed_at"])
    op.execute(RECORD)
    _recorded("sessions", "revoked_at")
    _recorded("api_keys", "revoked_at", "scopes", "project_id", "expires_at")
    _recorded("users", "is_active", "is_superuser")

    op.create_table(
        "project_members",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        _moment("created_at", now=True),
        _moment("updated_at", now=True),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'owner')", name=op.f("project_members_role_check")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("project_members_project_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("project_members_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("project_members_pkey")),
    )
    op.create_index(
        "project_members_user_id_idx", "project_members", ["user_id", "project_id"], postgresql_include=["role"]
    )
    op.execute(
        "CREATE TRIGGER project_members_touch_updated_at BEFORE UPDATE ON project_members FOR EACH ROW "
        "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at()"
    )
    op.execute(
        "INSERT INTO project_members (project_id, user_id, role) "
        "SELECT projects.id, admin.id, 'owner' FROM projects, "
        "(SELECT id FROM users WHERE is_superuser ORDER BY created_at, id LIMIT 1) AS admin"
    )


def downgrade() -> None:
    """Who belonged to which project, and every session and key, is lost."""
    op.drop_table("project_members")
    op.drop_table("api_keys")
    op.drop_table("sessions")
    op.execute("DROP TRIGGER users_access_changed ON users")
    op.execute("DROP TRIGGER users_access_ended ON users")
    op.execute("DROP FUNCTION record_access_change()")
    op.drop_table("access_changes")
    op.drop_table("attempts")
    op.drop_constraint(op.f("users_password_state_check"), "users")
    op.drop_column("users", "password_state")
