"""The garbage collector, and what is loaded once and kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from smarttrade.binance.wire import decode_klines
from smarttrade.cli.gc_tuning import SERIES_PER_FREEZE, freezing
from smarttrade.store.redis_format import candle_to_text
from smarttrade.store.stored_values import candles_from_list
from tests.fakes.candles import rows


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    gc.collect()
    yield
    gc.unfreeze()


def test_what_is_loaded_is_frozen_from_time_to_time_and_in_the_end() -> None:
    calls: list[tuple[int, int]] = []
    progress = freezing(lambda done, total: calls.append((done, total)))
    kept: list[list[int]] = []

    def looked_at(done: int, total: int) -> bool:
        kept.append([])
        progress(done, total)
        return any(each is kept[-1] for each in gc.get_objects())

    assert looked_at(1, SERIES_PER_FREEZE + 2)
    assert not looked_at(SERIES_PER_FREEZE, SERIES_PER_FREEZE + 2)
    assert looked_at(SERIES_PER_FREEZE + 1, SERIES_PER_FREEZE + 2)
    assert not looked_at(SERIES_PER_FREEZE + 2, SERIES_PER_FREEZE + 2)
    assert [done for done, _ in calls] == [1, *range(SERIES_PER_FREEZE, SERIES_PER_FREEZE + 3)]


def test_history_is_no_work_of_the_collector() -> None:
    row = '[%d,"1","2","0.5","1.5","7",0,"0",0,"0","0","0"]'
    body = ("[" + ",".join(row % (60_000 * minute) for minute in range(1000)) + "]").encode()
    stored = [candle_to_text(each) for each in rows(0, 999)]
    before = len(gc.get_objects())
    kept = [decode_klines(body, 0), candles_from_list(stored, 0)]
    assert len(gc.get_objects()) - before < 20
    assert [len(each) for each in kept] == [1000, 1000]
