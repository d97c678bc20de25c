from __future__ import annotations

from smarttrade.market.interval import Interval
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.corrections import CORRECTIONS_KEPT, Corrections
from smarttrade.store.events import Snapshot, SubscriptionsOpened
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import OpenSubscriptions, SubscriptionSpec
from tests.fakes.candles import BTC, at, candle, minutes, rows


def come_back(store: MemoryStore, since: int) -> Snapshot:
    wanted = SubscriptionSpec(BTC, since=at(since))
    [opened] = store.open_subscriptions(OpenSubscriptions("me", [wanted], b""))
    assert isinstance(opened, SubscriptionsOpened)
    return opened.snapshots[0]


def test_who_was_away_gets_what_was_corrected_meanwhile() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, rows(0, 9), None, 0.0, 0.0)
    store.put_updates([(BTC, candle(9, closed=False, close=100.0, volume=1.0, event=5))], 0.0, 0.0)
    assert minutes(come_back(store, 8).candles) == [8, 9]
    store.correct(BTC, [candle(4, close=104.0)], 0.0)
    again = come_back(store, 8)
    assert minutes(again.candles) == [4, 5, 6, 7, 8, 9]
    assert again.candles[0].close == 104.0
    assert not again.truncated


def test_corrections_are_forgotten_in_the_end() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, rows(0, 200), None, 0.0, 0.0)
    store.put_updates(
        [(BTC, candle(200, closed=False, close=100.0, volume=1.0, event=5))], 0.0, 0.0
    )
    store.correct(BTC, [candle(4, close=104.0)], 0.0)
    later = 200 + CORRECTIONS_KEPT // 60_000
    store.put_history(BTC, rows(200, later), at(200), 0.0, 0.0)
    store.put_updates(
        [(BTC, candle(later, closed=False, close=100.0, volume=99.0, event=50))], 0.0, 0.0
    )
    assert minutes(come_back(store, later).candles) == [later]


def corrected_at(*times: tuple[int, int]) -> Corrections:
    """Minutes, and the exchange's time in ms at which each was corrected."""
    corrections = Corrections()
    for minute, time in times:
        corrections.note([candle(minute)], time)
    return corrections


def test_oldest_correction_is_not_the_first_but_that_of_the_oldest_candle() -> None:
    assert corrected_at((5, 0), (3, 0), (4, 0)).oldest(0) == at(3)
    assert Corrections().oldest(0) is None


def test_correction_is_remembered_for_an_hour_and_no_longer() -> None:
    assert corrected_at((3, 0)).oldest(CORRECTIONS_KEPT) == at(3)
    assert corrected_at((3, 0)).oldest(CORRECTIONS_KEPT + 1) is None


def test_candle_that_is_corrected_again_is_remembered_from_then_on() -> None:
    corrections = corrected_at((9, 0), (3, 1000), (9, 2000))
    assert corrections.oldest(CORRECTIONS_KEPT + 1000) == at(3)
    assert corrections.oldest(CORRECTIONS_KEPT + 1500) == at(9)
    assert corrections.oldest(CORRECTIONS_KEPT + 2001) is None


def test_no_more_corrections_are_remembered_than_a_window_has_candles() -> None:
    corrections = corrected_at(*((minute, 0) for minute in range(WINDOW_SIZE)))
    assert corrections.oldest(0) == at(0)
    corrections.note([candle(WINDOW_SIZE)], 0)
    assert corrections.oldest(0) == at(1)
