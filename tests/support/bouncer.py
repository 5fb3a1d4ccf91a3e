"""A real PgBouncer in transaction mode, in front of a real PostgreSQL."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from devtools import pgbouncer
from devtools.pgbouncer import NOT_INSTALLED, PROGRAM


def program() -> str:
    """Return the path of PgBouncer. Without it, skip the test, or fail it if TALLER_TEST_PGBOUNCER is `required`."""
    if PROGRAM is None:
        if os.environ.get("TALLER_TEST_PGBOUNCER") == "required":
            pytest.fail(NOT_INSTALLED)
        pytest.skip(NOT_INSTALLED)
    return PROGRAM


@contextmanager
def running_bouncer(url: str, *, servers: int, options: Mapping[str, str] | None = None) -> Generator[str]:
    """Run a PgBouncer (`devtools.pgbouncer`) and return the address of the same database behind it."""
    program()
    with pgbouncer.running_bouncer(url, servers=servers, options=options) as address:
        yield address
