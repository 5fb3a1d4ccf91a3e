"""Work in the background: it goes on whatever fails, backs off meanwhile, and ends in order."""

import asyncio
import logging
from collections.abc import Callable
from math import inf

import pytest

from app.core.periodic import PeriodicTask, Work, pause_after


class Trial:
    """Work that fails as long as it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self.fails:
            raise OSError("not now")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


def task(work: Work, *, every: float = 0.001, last: Work | None = None) -> PeriodicTask:
    return PeriodicTask("trial", work, every=every, failure="cannot try", last=last)


async def test_work_repeats_and_records_its_last_success() -> None:
    trial = Trial()
    periodic = task(trial)
    assert periodic.last_success == -inf
    periodic.start()
    await periodic.succeeded(within=30)
    first = periodic.last_success
    assert first > -inf
    await until(lambda: trial.times > 2 and periodic.last_success > first)
    await periodic.stop()
    assert not [running for running in asyncio.all_tasks() if running.get_name() == "trial"]


async def test_of_failures_in_a_row_the_first_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    trial = Trial()
    periodic = task(trial)
    trial.fails = True
    with caplog.at_level(logging.WARNING, __name__):
        periodic.start()
        await until(lambda: trial.times > 3)
        assert caplog.messages == ["cannot try: not now"]
        assert periodic.last_success == -inf
        trial.fails = False
        await periodic.succeeded(within=30)
        trial.fails = True
        await until(lambda: len(caplog.messages) == 2)
    await periodic.stop()


@pytest.mark.parametrize(("failures", "pause"), [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (10_000, 60)])
def test_pause_doubles_with_each_failure_up_to_every(failures: int, pause: float) -> None:
    assert pause_after(failures, first=10, longest=60) == pause


async def test_a_pause_is_cut_short_by_what_wakes_it() -> None:
    trial, wake = Trial(), asyncio.Event()
    periodic = PeriodicTask("trial", trial, every=3600, failure="cannot try", wake=wake)
    periodic.start()
    await periodic.succeeded(within=30)
    wake.set()
    await until(lambda: trial.times == 2)
    assert not wake.is_set()
    await periodic.stop()


async def test_last_runs_once_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    last = Trial()
    last.fails = True
    periodic = task(Trial(), last=last)
    await periodic.stop()
    assert last.times == 0, "it had not begun"
    periodic.start()
    await periodic.stop()
    await periodic.stop()
    assert last.times == 1
    assert caplog.messages == ["cannot try: not now"]
