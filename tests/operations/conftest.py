"""What the tests of this directory look at."""

import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.upgrading import upgrade
from app.core.logging import JsonFormatter, TextFormatter
from devtools.postgres import EmbeddedPostgres
from tests.operations.pair import OPTIONS
from tests.operations.support import Dev


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, at the finest level and in both forms."""
    lines = io.StringIO()
    handlers = [logging.StreamHandler(lines), logging.StreamHandler(lines)]
    handlers[0].setFormatter(JsonFormatter())
    handlers[1].setFormatter(TextFormatter())
    root = logging.getLogger()
    before = root.level
    # The client of these tests, which is no part of the service, logs the addresses that it asks for.
    for handler in handlers:
        handler.addFilter(lambda record: not record.name.startswith("http"))
    root.setLevel(logging.DEBUG)
    for handler in handlers:
        root.addHandler(handler)
    yield lines
    root.setLevel(before)
    for handler in handlers:
        root.removeHandler(handler)


@pytest.fixture(scope="module")
def shared_dev() -> Iterator[Dev]:
    # Not in pytest's directory: to the user as whom PostgreSQL runs, every other run of pytest closes that.
    with (
        tempfile.TemporaryDirectory(prefix="taller-dev-", ignore_cleanup_errors=True) as directory,
        Dev(Path(directory)) as dev,
    ):
        yield dev


@pytest.fixture
def dev(shared_dev: Dev) -> Dev:
    """The service with its embedded database, running; its data stay for the next test of the file."""
    if not shared_dev.is_running:
        shared_dev.start()
    return shared_dev


@pytest.fixture(scope="session")
def migrated() -> Iterator[Path]:
    """The data of a server whose database has our schema."""
    with tempfile.TemporaryDirectory(prefix="taller-failover-", ignore_cleanup_errors=True) as directory:
        with EmbeddedPostgres(Path(directory), options=OPTIONS) as postgres:
            upgrade(postgres.url())
        yield postgres.data
