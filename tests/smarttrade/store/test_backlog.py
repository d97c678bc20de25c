"""What waits to be written, without a journal that takes it."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from smarttrade.market.window_state import WindowState
from smarttrade.store.backlog import Backlog
from smarttrade.store.events import CandlesPublished, GapsChanged, Published
from smarttrade.store.memory import MemoryStore
from smarttrade.store.shard_view import ShardView
from smarttrade.store.shards import Shard
from tests.fakes.candles import BTC, candle, rows


def collecting() -> Backlog:
    """One whose state has been taken; its store has the history of a series."""
    memory = MemoryStore(("BTCUSDT",), (BTC.interval,))
    memory.put_history(BTC, rows(0, 5), None, 0.0, 0.0)
    backlog = Backlog(ShardView(memory, Shard()))
    backlog.begin(())
    backlog.take(1)
    return backlog


async def test_close_ends_the_wait_of_an_empty_backlog(autojump_clock: MockClock) -> None:
    backlog = collecting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backlog.wait)
        await wait_all_tasks_blocked()
        backlog.close()
    assert backlog.is_closing


async def test_age_is_that_of_notes_that_are_left(autojump_clock: MockClock) -> None:
    backlog = collecting()
    backlog.note(CandlesPublished([Published(BTC, candle(5), False)]))
    backlog.note(GapsChanged(BTC))
    await trio.sleep(2)
    assert backlog.take(1).candles
    assert backlog.age == 2
    assert backlog.take(1).notes == {BTC}
    assert backlog.age == 0


async def test_empty_list_that_is_stored_is_written_anew() -> None:
    backlog = collecting()
    backlog.compare(BTC, WindowState(()))
    assert [*backlog.take(1).whole] == [BTC]
