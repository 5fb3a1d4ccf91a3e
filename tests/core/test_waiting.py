"""Deadlines share one timer."""

import asyncio
from typing import Any

import pytest

from app.core.waiting import Deadlines


async def test_deadlines_are_kept_by_one_timer_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    call_later = loop.call_later

    def counting(delay: float, *arguments: Any) -> Any:
        delays.append(delay)
        return call_later(delay, *arguments)

    monkeypatch.setattr(loop, "call_later", counting)
    ended: list[int] = []
    both = asyncio.Event()

    def end(number: int) -> None:
        ended.append(number)
        if len(ended) == 2:
            both.set()

    deadlines: Deadlines[int] = Deadlines(0.05, end)
    for number in range(1_000):
        deadlines.add(number)
        deadlines.pop(number)
    for number in (1, 2, 3):
        deadlines.add(number)
    deadlines.pop(2)
    assert delays == [0.05]
    await both.wait()
    assert ended == [1, 3]
    assert len(deadlines) == 0
