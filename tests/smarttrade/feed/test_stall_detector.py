"""Which series are suspected and which are stalled; times are in seconds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.feed.stall_detector import (
    CONNECTION_TIMEOUT,
    FIRST_PAUSE,
    MAX_PAUSE,
    MAX_SUSPECTS,
    SERIES_TIMEOUT,
    STALLED_PAUSE,
    SYMBOL_TIMEOUT,
    StallDetector,
)
from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series

BTC_1M = Series("BTCUSDT", Interval.MINUTE_1)
BTC_1H = Series("BTCUSDT", Interval.HOUR_1)
ETH_1M = Series("ETHUSDT", Interval.MINUTE_1)
ALL = (BTC_1M, BTC_1H, ETH_1M)


def state(volume: float, open_time: int = 0, *, closed: bool = False) -> Candle:
    return Candle(open_time, 1.0, 1.0, 1.0, 1.0, volume, closed)


def deliver(detector: StallDetector, now: float, *series: Series, volume: float = 1.0) -> None:
    for each in series:
        detector.note_update(each, state(volume), now)


def test_series_with_updates_are_not_suspected() -> None:
    detector = StallDetector(ALL, 0)
    for now in range(2, 600, 2):
        deliver(detector, now, *ALL)
        assert detector.suspects(now) == []


def test_series_that_lags_its_symbol_is_suspected() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, *ALL)
    for now in range(4, 20, 2):
        deliver(detector, now, BTC_1M, ETH_1M)
        expected = [BTC_1H] if now == 2 + SYMBOL_TIMEOUT + 2 else []
        assert detector.suspects(now) == expected


def test_silent_connection_is_checked_by_its_last_update() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, *ALL)
    deliver(detector, 4, ETH_1M)
    assert detector.suspects(4 + CONNECTION_TIMEOUT) == []
    assert detector.suspects(4 + CONNECTION_TIMEOUT + 1) == [ETH_1M]


def test_quiet_symbol_is_suspected_less_and_less_often() -> None:
    detector = StallDetector(ALL, 0)
    looks = []
    for now in range(2, 5000, 2):
        deliver(detector, now, BTC_1M, BTC_1H)
        if detector.suspects(now):
            looks.append(now)
    assert looks[0] == SERIES_TIMEOUT + 2
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == MAX_PAUSE


def test_series_updated_again_is_suspected_afresh() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, *ALL)
    deliver(detector, 20, BTC_1M, ETH_1M)
    assert detector.suspects(20) == [BTC_1H]
    deliver(detector, 21, *ALL)
    deliver(detector, 33, BTC_1M, ETH_1M)
    assert detector.suspects(33) == [BTC_1H]


def test_new_connection_gets_its_time() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 100, BTC_1M)
    detector.restart(100)
    assert detector.suspects(101) == []


def test_never_more_suspects_than_may_be_read_at_once() -> None:
    series = [Series(f"S{number}", Interval.MINUTE_1) for number in range(50)]
    detector = StallDetector(series, 0)
    first = detector.suspects(100)
    second = detector.suspects(102)
    assert len(first) == len(second) == MAX_SUSPECTS
    assert not set(first) & set(second)


def test_trade_that_the_stream_does_not_bring_proves_a_stall() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, BTC_1M, volume=5.0)
    assert detector.is_stalled(BTC_1M, state(6.0), read_at=70)


def test_stream_that_brings_it_late_is_not_stalled() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, BTC_1M, volume=5.0)
    deliver(detector, 71, BTC_1M, volume=6.0)
    assert not detector.is_stalled(BTC_1M, state(6.0), read_at=70)


def test_quiet_series_is_not_stalled() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, BTC_1M, volume=5.0)
    assert not detector.is_stalled(BTC_1M, state(5.0), read_at=70)
    # A minute without trades begins a candle without volume, which the stream need not deliver.
    assert not detector.is_stalled(BTC_1M, state(0.0, open_time=60_000), read_at=130)


def test_trades_in_a_later_candle_prove_a_stall() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, BTC_1M, volume=5.0)
    assert detector.is_stalled(BTC_1M, state(0.1, open_time=60_000), read_at=130)


def test_series_never_delivered_is_stalled_once_a_second_read_shows_a_trade() -> None:
    detector = StallDetector(ALL, 0)
    assert not detector.is_stalled(ETH_1M, state(1.0), read_at=70)
    assert not detector.is_stalled(ETH_1M, state(1.0), read_at=130)
    assert detector.is_stalled(ETH_1M, state(2.0), read_at=250)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([None, *ALL])), min_size=1, max_size=200)
)
def test_suspects_have_been_silent(steps: list[tuple[int, Series | None]]) -> None:
    """And none twice within the first pause without an update in between."""
    detector = StallDetector(ALL, 0)
    now = 0
    updated_at = dict.fromkeys(ALL, 0)
    suspected_at: dict[Series, int] = {}
    for step, updated in steps:
        now += step
        if updated is not None:
            deliver(detector, now, updated)
            updated_at[updated] = now
        for suspect in detector.suspects(now):
            assert now > updated_at[suspect] + SYMBOL_TIMEOUT
            before = suspected_at.get(suspect)
            assert before is None or updated_at[suspect] > before or now >= before + FIRST_PAUSE
            suspected_at[suspect] = now


def test_new_connection_gets_its_time_before_it_is_silent() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, *ALL)
    detector.restart(100)
    assert detector.suspects(100 + CONNECTION_TIMEOUT) == []
    assert len(detector.suspects(100 + CONNECTION_TIMEOUT + 1)) == 1


def test_state_delivered_at_the_moment_of_the_read_is_no_proof() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 70, BTC_1M, volume=5.0)
    assert not detector.is_stalled(BTC_1M, state(6.0), read_at=70)


def test_stalled_series_is_read_again_soon() -> None:
    detector = StallDetector(ALL, 0)
    deliver(detector, 2, *ALL)
    suspected_at = []
    for now in range(4, 120):
        deliver(detector, now, BTC_1M, BTC_1H)
        if detector.suspects(now):
            suspected_at.append(now)
            assert detector.is_stalled(ETH_1M, state(float(now)), now)
    pauses = {later - earlier for earlier, later in pairwise(suspected_at)}
    assert pauses == {STALLED_PAUSE}
