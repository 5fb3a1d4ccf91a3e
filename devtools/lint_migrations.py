"""Lint for migrations, part of `make check`: squawk reads their SQL and names what would lock a live table."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.core.database.migrations import ROOT

EXCLUDED = {
    "prefer-robust-stmts": "each migration is a transaction, or says how it can be run again",
    "prefer-bigint-over-int": "what is counted there is bounded",
    "prefer-bigint-over-smallint": "what is counted there is bounded",
    "prefer-text-field": "Alembic's own table",
    "require-statement-timeout": "an index of a large table may take long; alembic/env.py sets lock_timeout",
}
"""Rules of squawk that are off, and why."""

ACCEPTED = {
    ("0002", "constraint-missing-not-valid"): "came before the first release",
    ("0030", "constraint-missing-not-valid"): "the table was new, and empty",
    ("0030", "disallowed-unique-constraint"): "the table was new, and empty",
    ("0041", "ban-drop-constraint"): "drops what a failed attempt left, to add it again",
    ("0044", "ban-drop-constraint"): "drops what a constraint that is valid by then checks as well",
    ("0047", "renaming-object"): "no client names an index",
    ("0048", "renaming-object"): "no client names an index",
}
"""Findings that stay, by revision and rule, and why."""

_BEGINS = re.compile(r"^-- Running upgrade .*-> (\w+)$")
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a migration that squawk warns of."""

    revision: str
    rule: str
    message: str


def sql_of_migrations() -> str:
    """Return the SQL of all migrations. It needs no database."""
    environment = {**os.environ, "TALLER_DATABASE_URL": "postgresql://nobody@localhost/nothing"}
    written = subprocess.run(  # noqa: S603 - a program of our own environment
        [_BIN / "alembic", "upgrade", "head", "--sql"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return written.stdout


def findings(sql: str) -> list[Finding]:
    """Return what squawk finds in the SQL of migrations."""
    told = subprocess.run(  # noqa: S603 - a program of our own environment
        [_BIN / "squawk", "--pg-version=14", "--reporter=json", f"--exclude={','.join(EXCLUDED)}"],
        input=sql, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode not in {0, 1}:
        raise RuntimeError(told.stderr)
    revisions, revision = [], ""
    for line in sql.splitlines():
        revision = begins[1] if (begins := _BEGINS.match(line)) else revision
        revisions.append(revision)
    return [Finding(revisions[each["line"]], each["rule_name"], each["message"]) for each in json.loads(told.stdout)]


def main() -> None:
    """Print what is not accepted, and exit with 1 if there is something."""
    new = [found for found in findings(sql_of_migrations()) if (found.revision, found.rule) not in ACCEPTED]
    for found in new:
        sys.stdout.write(f"migration {found.revision}: {found.message} ({found.rule})\n")
    if new:
        sys.exit("docs/how-to/write-a-migration.md says how it is done on a live table")
    sys.stdout.write("migrations lock no live table\n")


if __name__ == "__main__":
    main()
