"""What the tests of this directory look at."""

import io
import logging
from collections.abc import Iterator

import pytest

from app.core.logging import JsonFormatter, TextFormatter


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
