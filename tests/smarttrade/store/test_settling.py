"""A candle that has just ended is final once it was read late enough, or the stream closes it.

What follows it is published meanwhile, and its final state then as a correction.

Minute 3 is the newest but one: it ended when minute 4 opened, 240 s after the loop's time 0.
"""

from __future__ import annotations

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.packed_candles import PackedCandles
from smarttrade.market.settling import SETTLING_TIME, mark_unsettled
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.store.events import (
    CandlesMissing,
    Event,
    Published,
    Snapshot,
    SubscriptionsOpened,
)
from smarttrade.store.freshness import CLOSING_EVENT_TIMEOUT
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import OpenSubscriptions, Page, SubscriptionSpec
from smarttrade.store.series_state import Departed, SeriesState
from tests.fakes.candles import BASE, BTC, at, candle, rows, states

READ_AT = 245.0  # seconds; 5 s into minute 4
DUE = 240.0 + SETTLING_TIME / 1000


def new_store() -> MemoryStore:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.learn_time(BASE, 0.0)
    return store


def read(now: float, first: int = 0, *, last: int = 4) -> list[Candle]:
    """What REST lists at `now`; a row that has just ended lacks a trade."""
    found = mark_unsettled(
        PackedCandles.of(rows(first, last)), BTC.interval, BASE + int(now * 1000)
    )
    return [row if row.closed else row._replace(volume=5.0) for row in found]


def put(store: MemoryStore, *candles: Candle, now: float) -> list[Event]:
    return store.put_updates([(BTC, each) for each in candles], now, 0.0)


def started() -> MemoryStore:
    """A start 5 s after the turn of the minute, and the stream goes on."""
    store = new_store()
    store.put_history(BTC, read(READ_AT), None, 0.0, READ_AT)
    return store


def reconnected() -> MemoryStore:
    """The connection was lost at the turn of the minute, and with it the close of minute 3."""
    store = new_store()
    store.put_history(BTC, rows(0, 2), None, 0.0, 170.0)
    put(store, candle(2), candle(3, closed=False, event=58, volume=9.0), now=238.0)
    return store


def forming(second: int = 6) -> Candle:
    return candle(4, closed=False, event=second, volume=6.0)


def snapshots(store: MemoryStore, spec: SubscriptionSpec) -> Snapshot:
    [opened] = store.open_subscriptions(OpenSubscriptions("client", [spec], b""))
    assert isinstance(opened, SubscriptionsOpened)
    [snapshot] = opened.snapshots
    return snapshot


def held(store: MemoryStore) -> list[tuple[int, bool]]:
    page = store.page(BTC, 1000, None)
    assert isinstance(page, Page)
    return states(page.candles)


def trouble(store: MemoryStore, now: float) -> str | None:
    return store.symbol_overviews(["BTCUSDT"], now)[0].not_ready_reason


def published(events: list[Event]) -> list[tuple[int, bool, float, bool]]:
    found: list[Published] = [p for event in events for p in getattr(event, "published", ())]
    return [
        (minute, closed, each.candle.volume, each.corrected)
        for each in found
        for minute, closed in states([each.candle])
    ]


def questions(events: list[Event]) -> list[CandlesMissing]:
    return [event for event in events if isinstance(event, CandlesMissing)]


def test_start_is_ready_with_a_candle_that_is_not_final() -> None:
    store = started()
    overview = store.symbol_overviews(["BTCUSDT"], READ_AT)[0]
    assert overview.not_ready_reason is None
    assert overview.newest is not None
    assert overview.newest.open_time == at(4)


def test_page_ends_with_it_and_says_that_it_is_not_final() -> None:
    store = started()
    put(store, forming(), now=246.0)
    page = store.page(BTC, 1000, None)
    assert isinstance(page, Page)
    assert states(page.candles) == [(0, True), (1, True), (2, True), (3, False)]
    assert page.as_of < at(4) + 6000
    assert [gap.first for gap in page.gaps] == [at(3)]
    older = store.page(BTC, 2, at(2))
    assert isinstance(older, Page)
    assert states(older.candles) == [(0, True), (1, True)]


def test_snapshot_ends_with_it_and_what_follows_are_updates() -> None:
    store = started()
    put(store, forming(), now=246.0)
    snapshot = snapshots(store, SubscriptionSpec(BTC, snapshot=3))
    assert states(snapshot.candles) == [(2, True), (3, False)]
    assert list(snapshot.following) == [forming()]
    again = snapshots(store, SubscriptionSpec(BTC, since=at(4)))
    assert (list(again.candles), again.following) == ([forming()], ())


def test_live_candles_do_not_wait_for_it_and_nothing_is_asked_for() -> None:
    store = started()
    assert published(put(store, forming(), now=246.0)) == [(4, False, 6.0, False)]
    for now in range(247, int(DUE)):
        assert store.check_overdue(float(now), 0.0) == []
        assert trouble(store, float(now)) is None


def test_it_is_asked_for_once_and_its_final_state_is_a_correction() -> None:
    store = started()
    put(store, forming(), now=246.0)
    as_of = forming().event_time
    assert store.check_overdue(DUE, 0.0) == [CandlesMissing(BTC, at(3), None, as_of)]
    assert store.check_overdue(DUE + 1, 0.0) == []
    events = store.put_history(BTC, read(DUE + 1, 3), at(3), 0.0, DUE + 1)
    assert published(events) == [(3, True, 10.0, True)]
    assert store.check_overdue(DUE + 2, 0.0) == []
    assert trouble(store, DUE + 2) is None
    assert held(store) == [(0, True), (1, True), (2, True), (3, True), (4, False)]
    assert snapshots(store, SubscriptionSpec(BTC, snapshot=3)).following == ()


def test_close_from_the_stream_settles_it_and_nothing_is_read() -> None:
    store = started()
    put(store, forming(), now=246.0)
    late = candle(3, event=67)
    assert published(put(store, late, now=247.0)) == [(3, True, 10.0, True)]
    assert [now for now in range(247, 300) if questions(store.check_overdue(now, 0.0))] == []


def test_close_that_came_before_the_rows_settles_them() -> None:
    """The stream was connected at the turn of the minute."""
    store = new_store()
    put(store, candle(3), now=240.1)
    store.put_history(BTC, read(READ_AT), None, 0.0, READ_AT)
    assert held(store)[-2:] == [(3, True), (4, False)]
    assert [now for now in range(246, 300) if questions(store.check_overdue(now, 0.0))] == []


def test_without_an_answer_it_counts_as_missing() -> None:
    store = started()
    put(store, forming(), now=246.0)
    asked = [now for now in range(246, 320) if questions(store.check_overdue(float(now), 0.0))]
    assert asked[0] == DUE
    assert len(asked) > 2
    assert "missing" in (trouble(store, DUE + 20) or "")
    put(store, forming(50), now=290.0)
    assert held(store) == [(0, True), (1, True), (2, True), (3, False), (4, False)]


def test_close_that_is_lost_is_waited_for_a_moment() -> None:
    store = reconnected()
    assert put(store, forming(2), now=242.0) == []
    times = [now for now in range(242, 260) if published(store.check_overdue(float(now), 0.0))]
    assert times == [242 + CLOSING_EVENT_TIMEOUT + 1]
    assert trouble(store, 246.0) is None
    assert held(store)[-1] == (3, False)


def test_close_that_is_lost_is_asked_for_when_the_answer_is_final() -> None:
    store = reconnected()
    put(store, forming(2), now=242.0)
    asked = [now for now in range(242, 260) if questions(store.check_overdue(now, 0.0))]
    assert asked == [DUE]
    events = store.put_history(BTC, read(DUE + 1, 3), at(3), 0.0, DUE + 1)
    assert published(events) == [(3, True, 10.0, True)]


def test_close_that_is_late_by_less_comes_in_order() -> None:
    store = reconnected()
    put(store, forming(2), now=242.0)
    store.check_overdue(242.5, 0.0)
    assert published(put(store, candle(3), now=243.0)) == [
        (3, True, 10.0, False),
        (4, False, 6.0, False),
    ]
    assert [now for now in range(250, 300) if questions(store.check_overdue(now, 0.0))] == []


def test_rows_after_a_reconnect_show_what_follows_as_well() -> None:
    store = reconnected()
    events = store.put_history(BTC, read(243.0, 3), at(3), 0.0, 243.0)
    assert published(events) == []
    later = [each for now in (243, 244, 245) for each in store.check_overdue(float(now), 0.0)]
    assert [each[:2] for each in published(later)] == [(4, False)]
    assert trouble(store, 245.0) is None


def test_subscribers_that_hold_its_close_do_not_get_it_back_as_forming() -> None:
    """The series was gone for a while."""
    state = SeriesState(BTC.interval, Departed(at(3), True, {}, 1))
    assert state.would_go_back(read(READ_AT))
    assert not state.would_go_back(read(DUE))
    assert not SeriesState(BTC.interval, Departed(at(4), False, {}, 1)).would_go_back(read(READ_AT))


def test_range_that_ends_after_a_gap_is_read_at_once() -> None:
    """Rows of it are final, but for the one that has just ended."""
    store = new_store()
    store.put_history(BTC, rows(0, 1), None, 0.0, 70.0)
    put(store, candle(1, closed=False, event=30, volume=3.0), now=90.0)
    [question] = questions(put(store, forming(2), now=242.0))
    assert (question.first, question.last) == (at(1), at(4))
    events = store.put_history(BTC, read(243.0, 1), at(1), 0.0, 243.0)
    assert [each[:2] for each in published(events)] == [(1, True), (2, True), (3, False)]
    assert not questions(events)
    assert trouble(store, 244.0) is None
    assert [now for now in range(244, 260) if questions(store.check_overdue(now, 0.0))] == [DUE]


def test_clock_that_is_not_known_delays_the_question_by_no_more_than_that_time() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, read(READ_AT), None, 0.0, 1000.0)
    asked = [now for now in range(1000, 1020) if questions(store.check_overdue(now, 0.0))]
    assert asked == [1015]


def test_answer_that_is_not_final_either_is_followed_by_a_pause() -> None:
    """The exchange's clock is behind what was taken for it."""
    store = started()
    asked = []
    for now in range(246, 320):
        if questions(store.check_overdue(now, 0.0)):
            asked.append(now)
            store.put_history(BTC, read(READ_AT, 3), at(3), 0.0, now)
    assert asked == [255, 270, 285, 300, 315]


def test_candle_of_a_symbol_that_is_halted_meanwhile_is_settled_all_the_same() -> None:
    store = started()
    halted = SymbolDetails("HALT", None, SymbolState.HALTED, 0.0)
    store.list_symbols(["BTCUSDT"], {"BTCUSDT": halted}, 246.0)
    assert [now for now in range(246, 300) if questions(store.check_overdue(now, 0.0))] == [DUE]
