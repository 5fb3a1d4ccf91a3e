"""The mark `slow`: a test that starts a process has to have it."""

import sys
from collections.abc import Generator
from typing import Any

import pytest

FORK = "tests.fork"
"""The audit event of a service that is forked (`tests/support/forking.py`)."""

_started = 0
_before = pytest.StashKey[int]()


def _count(event: str, _: tuple[Any, ...]) -> None:
    global _started  # noqa: PLW0603 - an audit hook has no other place
    _started += event in {"subprocess.Popen", FORK}


sys.addaudithook(_count)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note how many processes were started before a test and its fixtures."""
    item.stash[_before] = _started
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that starts a process, itself or by a fixture, without the mark `slow`."""
    done = yield
    if _started != item.stash[_before] and item.get_closest_marker("slow") is None:
        pytest.fail("it starts a process: mark it with pytest.mark.slow", pytrace=False)
    return done
