"""The schema's history: one line of revisions, each of which can be taken, taken back and taken again."""

import re
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from app.cli.upgrading import alembic_config
from app.core.database.migrations import head_revision
from tests.migrations.history import (
    empty_database,
    fresh_name,
    history,
    is_one_line,
    migrations_of,
    revisions_that_do_not_return,
)
from tests.support import server

pytestmark = pytest.mark.slow

PLANTED = """
from alembic import op

revision = "{revision}"
down_revision = {down_revision!r}


def upgrade():
    op.execute("CREATE TABLE planted (id uuid)")
    op.execute("CREATE FUNCTION planted() RETURNS int LANGUAGE sql AS 'SELECT 1'")


def downgrade():
    op.execute("DROP TABLE planted")
    {forgotten}
"""


def plant(tree: Path, revision: str, down_revision: object, forgotten: str = "pass") -> None:
    source = PLANTED.format(revision=revision, down_revision=down_revision, forgotten=forgotten)
    (tree / f"alembic/versions/planted_{revision}.py").write_text(source)


def test_there_is_one_head_at_the_end_of_one_line() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [head_revision()]
    assert is_one_line(history())


def test_a_second_head_and_a_gap_are_noticed(tree: Path) -> None:
    plant(tree, f"{int(head_revision()) + 2:04}", head_revision())
    assert not is_one_line(history(migrations_of(tree, "")))
    plant(tree, f"{int(head_revision()) + 1:04}", history()[-1].down_revision)
    assert not is_one_line(history(migrations_of(tree, "")))
    assert len(ScriptDirectory.from_config(migrations_of(tree, "")).get_heads()) == 2


def test_files_are_named_by_date_revision_and_what_they_do() -> None:
    for script in history():
        created = re.search(r"^Created: (\d{4}-\d{2}-\d{2})$", script.longdoc, re.MULTILINE)
        assert created is not None, script.path
        full = "_".join([*created[1].split("-"), script.revision, *re.findall(r"\w+", script.doc.lower())])
        name = Path(script.path).stem
        assert re.fullmatch(r"\d{4}_\d{2}_\d{2}_\d{4}_[a-z0-9_]{5,}", name)
        # Alembic shortens what is long.
        assert full.startswith(name)


def test_every_revision_goes_up_and_down_and_up_again(server_url: str) -> None:
    with empty_database(server_url) as url:
        config = alembic_config(url)
        assert revisions_that_do_not_return(config) == []


def test_a_downgrade_that_forgets_something_is_noticed(server_url: str, tree: Path) -> None:
    planted = f"{int(head_revision()) + 1:04}"
    plant(tree, planted, head_revision(), "op.execute('ALTER FUNCTION planted() RENAME TO left_over')")
    with server.database_copy(server_url, fresh_name()) as url:
        assert revisions_that_do_not_return(migrations_of(tree, url), since=head_revision()) == [planted]
