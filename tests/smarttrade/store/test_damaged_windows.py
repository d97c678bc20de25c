from __future__ import annotations

from collections import Counter

from smarttrade.market.series import Series
from smarttrade.store.damaged_windows import (
    MAX_REREAD,
    REREAD_BACKOFF,
    REREAD_INTERVAL,
    DamagedWindows,
)
from tests.fakes.candles import BTC, ETH


def test_each_read_that_fails_doubles_the_pause() -> None:
    windows = DamagedWindows()
    windows.note(BTC, 0.0, is_damaged=True)
    now, pauses = 0.0, []
    for _ in range(6):
        taken_at = next(t for t in map(float, range(int(now), 10_000)) if windows.take(t) == [BTC])
        pauses.append(taken_at - now)
        now = taken_at
        windows.note(BTC, now, is_damaged=True)
    assert pauses == [10, 20, 40, 80, 120, 120]


def test_window_that_is_in_order_is_not_read_again() -> None:
    windows = DamagedWindows()
    windows.note(BTC, 0.0, is_damaged=True)
    windows.note(ETH, 0.0, is_damaged=True)
    windows.note(BTC, 5.0, is_damaged=False)
    assert BTC not in windows
    assert windows.take(10.0) == [ETH]


def test_damage_after_health_begins_with_the_shortest_pause() -> None:
    windows = DamagedWindows()
    for now in (0.0, 10.0, 30.0):
        windows.note(BTC, now, is_damaged=True)
    windows.note(BTC, 70.0, is_damaged=False)
    windows.note(BTC, 100.0, is_damaged=True)
    assert windows.take(100.0 + REREAD_BACKOFF.first) == [BTC]


def test_all_have_their_turn_though_all_are_damaged() -> None:
    windows = DamagedWindows()
    many = [Series(f"S{number}USDT", BTC.interval) for number in range(8000)]
    for series in many:
        windows.note(series, 0.0, is_damaged=True)
    reads: Counter[Series] = Counter()
    for second in range(1000):
        taken = windows.take(second * REREAD_INTERVAL)
        assert len(taken) <= MAX_REREAD
        for series in taken:
            windows.note(series, second * REREAD_INTERVAL, is_damaged=True)
        reads.update(taken)
    assert set(reads) == set(many)
    assert max(reads.values()) - min(reads.values()) <= 1
