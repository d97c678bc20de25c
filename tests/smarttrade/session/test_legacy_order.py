"""Clients that append whatever comes get candles in order, each after the close of the one before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.settling import SETTLED_AFTER
from smarttrade.session.legacy_order import LegacyOrder
from tests.fakes.candles import BTC, candle, states

LATE = 60 + SETTLED_AFTER // 1000  # seconds after its opening in which a minute is settled


def begun(first: Candle) -> LegacyOrder:
    order = LegacyOrder(BTC.interval)
    order.begin(first)
    return order


def test_updates_and_closes_pass() -> None:
    order = LegacyOrder(BTC.interval)
    taken = [candle(0, closed=False), candle(0), candle(1, closed=False)]
    assert [order.take(each, corrected=False) for each in taken] == [[each] for each in taken]


def test_candle_waits_for_the_close_of_the_one_before() -> None:
    order = begun(candle(0, closed=False))
    assert order.take(candle(1, closed=False, event=1), corrected=False) == []
    assert order.take(candle(1, closed=False, event=3), corrected=False) == []
    sent = order.take(candle(0), corrected=True)
    assert states(sent) == [(0, True), (1, False)]
    assert sent[1].event_time == candle(1, closed=False, event=3).event_time


def test_several_wait_and_follow_one_by_one() -> None:
    order = begun(candle(0, closed=False))
    order.take(candle(1, closed=False, event=1), corrected=False)
    order.take(candle(2, closed=False, event=-50), corrected=False)  # as at an interval of 1s
    assert states(order.take(candle(0), corrected=True)) == [(0, True), (1, False)]
    assert states(order.take(candle(1, event=15), corrected=True)) == [(1, True), (2, False)]


def test_close_that_does_not_come_is_given_up() -> None:
    order = begun(candle(0, closed=False))
    assert order.take(candle(1, closed=False, event=LATE - 61), corrected=False) == []
    sent = order.take(candle(1, closed=False, event=LATE - 59), corrected=False)
    assert states(sent) == [(1, False)]
    assert order.take(candle(0), corrected=True) == []


def test_corrections_of_the_past_are_left_out() -> None:
    order = begun(candle(3, closed=False))
    assert order.take(candle(1), corrected=True) == []
    assert order.take(candle(3), corrected=False) == [candle(3)]
    assert order.take(candle(3, close=9.0), corrected=True) == []


def test_correction_before_anything_was_sent_is_left_out() -> None:
    assert LegacyOrder(BTC.interval).take(candle(1), corrected=True) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans())))
def test_nothing_ever_goes_back(published: list[tuple[int, bool, bool]]) -> None:
    order, sent = LegacyOrder(BTC.interval), list[Candle]()
    for minute, is_closed, corrected in published:
        sent += order.take(candle(minute, closed=is_closed), corrected=corrected and is_closed)
    times = [each.open_time for each in sent]
    assert times == sorted(times)
    closes = [each.open_time for each in sent if each.closed]
    assert len(closes) == len(set(closes))
