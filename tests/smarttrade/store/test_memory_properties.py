"""A subscription at any moment of any history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.market.candle import Candle
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.events import (
    CandlesPublished,
    Event,
    SubscriptionsOpened,
)
from smarttrade.store.messages import (
    OpenSubscriptions,
    PageUnavailable,
    SubscriptionSpec,
)
from tests.fakes.candles import BTC, at, candle, rows
from tests.smarttrade.store.memory_stores import new_store, put, ready_store

hand_over_steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 4)),
        st.tuples(st.just("close"), st.integers(0, 0)),
        st.tuples(st.just("skip"), st.integers(1, 3)),
        st.tuples(st.just("history"), st.integers(0, 6)),
        st.tuples(st.just("pass"), st.integers(1, 7)),
        st.tuples(st.just("open"), st.integers(1, 6)),
        st.tuples(st.just("since"), st.integers(0, 6)),
    ),
    max_size=30,
)


class SubscriberViews:
    """Subscribers who do what a client does: replace by open time, in the order of arrival."""

    def __init__(self) -> None:
        self.views: dict[object, dict[int, Candle]] = {}
        self.reach: dict[object, int] = {}

    def hear(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case SubscriptionsOpened(subscriber, _, series, snapshots) if BTC in series:
                    candles = (*snapshots[0].candles, *snapshots[0].following)
                    self.views[subscriber] = {each.open_time: each for each in candles}
                    if candles:
                        self.reach[subscriber] = candles[0].open_time
                case CandlesPublished(received):
                    for _, each, corrected in received:
                        for subscriber, view in self.views.items():
                            assert not view or corrected == (each.open_time < max(view))
                            self.reach.setdefault(subscriber, each.open_time)
                            view[each.open_time] = each


@given(hand_over_steps, st.booleans())
def test_snapshot_and_what_follows_make_the_window_whenever_one_subscribes(
    story: list[tuple[str, int]], has_history: bool
) -> None:
    store = ready_store(0, 2) if has_history else new_store()
    audience, now, minute, trades = SubscriberViews(), 0.0, 2, 10
    for number, (kind, value) in enumerate(story):
        match kind:
            case "event":
                trades += value
                received = candle(minute, closed=False, event=trades, volume=trades)
                events = put(store, received, now=now)
            case "close":
                events = put(store, candle(minute, volume=trades), now=now)
                minute += 1
            case "skip":
                minute, events = minute + value, []
            case "history":
                newest = None if isinstance(store.page(BTC, 1, None), PageUnavailable) else minute
                first = None if newest is None else at(max(0, minute - value))
                start = 0 if first is None else max(0, minute - value)
                events = store.put_history(BTC, rows(start, minute), first, 0.0, 0.0)
            case "pass":
                now += value
                events = store.check_overdue(now, 0.0)
            case _:
                wanted = (
                    SubscriptionSpec(BTC, value)
                    if kind == "open"
                    else SubscriptionSpec(BTC, since=at(value))
                )
                events = store.open_subscriptions(OpenSubscriptions(number, [wanted], b""))
        audience.hear(events)
        found = store.newest_candles(BTC, WINDOW_SIZE)
        for subscriber, view in audience.views.items() if found else ():
            reach = audience.reach.get(subscriber, at(99))
            there = [each[:7] for each in found if each.open_time >= reach]
            assert [view[t][:7] for t in sorted(view) if t >= reach] == there
