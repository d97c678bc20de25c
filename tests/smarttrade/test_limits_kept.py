"""What the exchange limits stays limited, whatever restarts in between."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from smarttrade.feed.backfill_queue import BackfillQueue
from smarttrade.simulator import Cut
from tests.fakes.service import World, running


def requests(world: World) -> int:
    return world.exchange.stats.requests.total()


@pytest.mark.parametrize("status", [429, 418])
async def test_ban_is_kept_to_over_restarts_of_the_actors(
    status: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    seconds = 300
    crashes: list[float] = []
    take = BackfillQueue.take

    def crash_now_and_then(queue: BackfillQueue, now: float) -> Any:
        if crashes and trio.current_time() >= crashes[0]:
            crashes.pop(0)
            raise RuntimeError("injected failure")
        return take(queue, now)

    monkeypatch.setattr(BackfillQueue, "take", crash_now_and_then)
    with capture_logs():
        async with running() as world:
            await world.next_minute(1, plus=5)
            world.exchange.faults.rest_status.on(status, seconds)
            banned_until = trio.current_time() + seconds
            Cut("rst").apply(world.exchange)
            before = requests(world)
            while requests(world) == before:
                await trio.sleep(0.1)
            await trio.sleep(1)
            at_ban = requests(world)
            assert at_ban - before <= 6  # those that were under way
            crashes += [trio.current_time() + at for at in (20, 80)]
            while trio.current_time() < banned_until - 2:
                if crashes and trio.current_time() >= crashes[0]:
                    Cut("rst").apply(world.exchange)  # so that there is something to take
                await trio.sleep(1)
            assert requests(world) == at_ban
            assert world.actors["backfill"].restarts == 2
            await trio.sleep(60)
            assert requests(world) > at_ban
            assert await world.ready() < 60
            assert await world.differences() == []
