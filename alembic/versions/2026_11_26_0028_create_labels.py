"""Create labels.

Revision: 0028
Revises: 0027
Created: 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

LETTERS = (range(0xC0, 0x250), range(0x370, 0x400), range(0x400, 0x530), range(0x531, 0x557))
"""Latin, Greek, Cyrillic and Armenian. Unicode does not change what their small letters are."""

MAX_LABELS = 200

# Whoever adds a column adds it to this condition; tests/migrations/test_tables.py finds the one that is missing.
TRIGGER = """
CREATE TRIGGER labels_touch_updated_at BEFORE UPDATE ON labels FOR EACH ROW
WHEN (
    (OLD.id, OLD.project_id, OLD.name, OLD.color, OLD.created_at, OLD.updated_at, OLD.version)
    IS DISTINCT FROM
    (NEW.id, NEW.project_id, NEW.name, NEW.color, NEW.created_at, NEW.updated_at, NEW.version)
) EXECUTE FUNCTION touch_version()
"""

# Whoever adds a label has the project's row, and so counts after everybody who had it before. Tasks can be added
# meanwhile: their foreign key only needs the project to stay.
LIMIT = f"""
CREATE FUNCTION limit_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM projects WHERE id = NEW.project_id FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM labels WHERE project_id = NEW.project_id) >= {MAX_LABELS} THEN
        RAISE EXCEPTION 'a project has at most {MAX_LABELS} labels'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'labels_limit';
    END IF;
    RETURN NEW;
END
$$
"""
LIMIT_INSERTED = """
CREATE TRIGGER labels_limit_inserted BEFORE INSERT ON labels FOR EACH ROW EXECUTE FUNCTION limit_labels()
"""
LIMIT_MOVED = """
CREATE TRIGGER labels_limit_moved BEFORE UPDATE OF project_id ON labels FOR EACH ROW
WHEN (OLD.project_id <> NEW.project_id) EXECUTE FUNCTION limit_labels()
"""


def _fold_case() -> str:
    """Make the function by which names are compared; servers have no collation in common that knows letters."""
    letters = (chr(code) for span in LETTERS for code in span)
    pairs = {letter: small for letter in letters if (small := letter.lower()) != letter and len(small) == 1}
    pairs |= {"ẞ": "ß", "ς": "σ"}
    return f"""
        CREATE FUNCTION fold_case(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE
            WHEN octet_length(words) = char_length(words) THEN lower(words COLLATE "C")
            ELSE translate(
                lower(normalize(words, NFC) COLLATE "C"), '{"".join(pairs)}', '{"".join(pairs.values())}'
            )
        END
    """


def upgrade() -> None:
    """Expand: the release before this one still runs on the result."""
    op.execute(_fold_case())
    op.execute("COMMENT ON FUNCTION fold_case IS 'Text without letter case, to be compared by COLLATE \"C\"'")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "labels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), server_default="#808080", nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="labels_pkey"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="labels_project_id_fkey", ondelete="CASCADE"),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 50", name="name_length"),
        sa.CheckConstraint("color ~ '^#[0-9a-f]{6}$'", name="color"),
    )
    op.create_index("labels_name_key", "labels", ["project_id", sa.text("fold_case(name)")], unique=True)
    op.create_index("labels_by_name_idx", "labels", ["project_id", sa.text('sort_key(name COLLATE "C")'), "id"])
    for statement in (TRIGGER, LIMIT, LIMIT_INSERTED, LIMIT_MOVED):
        op.execute(statement)


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_table("labels")
    op.execute("DROP FUNCTION limit_labels()")
    op.execute("DROP FUNCTION fold_case(text)")
