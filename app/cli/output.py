"""Output of commands: tables and JSON."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from pydantic_core import to_jsonable_python

_WIDE = 10_000
"""The width if the output is not a terminal, so that programs that read a table meet no broken lines."""


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Print rows as a table with these columns (heading by column name), or all their columns as JSON."""
    if as_json:
        click.echo(json.dumps(to_jsonable_python([dict(row) for row in rows]), indent=2, ensure_ascii=False))
        return
    # The import takes 60 ms, and only tables need it.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in columns))
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False).print(table)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(" ", "minutes")
        case str():
            return value
        case Iterable():
            return " ".join(map(str, value))
    return str(value)
