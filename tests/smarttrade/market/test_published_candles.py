from __future__ import annotations

from tests.fakes.candles import at, minutes, rows
from tests.fakes.windows import window


def test_newest_candles_before_a_time() -> None:
    live = window(*rows(0, 9))
    assert minutes(live.newest_candles(3)) == [7, 8, 9]
    assert minutes(live.newest_candles(3, at(7))) == [4, 5, 6]
    assert minutes(live.newest_candles(3, at(7) + 1)) == [5, 6, 7]
    assert minutes(live.newest_candles(3, at(2))) == [0, 1]
    assert minutes(live.newest_candles(99, at(99))) == list(range(10))
    assert live.newest_candles(3, at(0)) == ()
    assert live.newest_candles(0) == ()


def test_candles_since_a_time() -> None:
    live = window(*rows(0, 4))
    assert minutes(live.since(at(3))) == [3, 4]
    assert minutes(live.since(at(3) - 1)) == [3, 4]
    assert minutes(live.since(at(3) + 1)) == [4]
    assert minutes(live.since(0)) == [0, 1, 2, 3, 4]
    assert live.since(at(5)) == ()


def test_overdue_once_the_newest_ended_more_than_the_grace_ago() -> None:
    live = window(*rows(0, 3))
    end = at(4) - 1
    assert not live.is_overdue(end + 5000, 5000)
    assert live.is_overdue(end + 5001, 5000)
