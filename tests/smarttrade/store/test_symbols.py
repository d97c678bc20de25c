"""Symbols that the exchange halts, delists, refuses, or lists later, as the store sees them."""

from __future__ import annotations

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.store.events import (
    CandlesMissing,
    CatalogueChanged,
    Event,
    SeriesWithdrawn,
    SubscriptionsOpened,
    SymbolChanged,
)
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import OpenSubscriptions, Page, PageUnavailable, SubscriptionSpec
from smarttrade.store.symbols import EXCUSED_AFTER
from tests.fakes.candles import BTC, ETH, candle, rows

TRADING = SymbolDetails("TRADING")
HALTED = SymbolDetails("BREAK", state=SymbolState.HALTED, since=5.0)
DELISTED = SymbolDetails(None, state=SymbolState.DELISTED)
UNKNOWN = SymbolDetails(None, state=SymbolState.UNKNOWN)


def store_with(btc: SymbolDetails = TRADING, eth: SymbolDetails = TRADING) -> MemoryStore:
    store = MemoryStore(["BTCUSDT", "ETHUSDT"], [Interval.MINUTE_1])
    listed(store, btc, eth)
    return store


def listed(
    store: MemoryStore, btc: SymbolDetails = TRADING, eth: SymbolDetails = TRADING, now: float = 0.0
) -> list[Event]:
    details = {"BTCUSDT": btc, "ETHUSDT": eth}
    served = [name for name, known in details.items() if known.state is not SymbolState.UNKNOWN]
    return store.list_symbols(served, details, now)


def missing(events: list[Event]) -> list[Series]:
    return [event.series for event in events if isinstance(event, CandlesMissing)]


def changes(events: list[Event]) -> list[SymbolChanged]:
    return [event for event in events if isinstance(event, SymbolChanged)]


def subscribe(store: MemoryStore, *series: Series) -> SubscriptionsOpened[str]:
    wanted = [SubscriptionSpec(each, snapshot=10) for each in series]
    opened, *_ = store.open_subscriptions(OpenSubscriptions("client", wanted, b"ack"))
    assert isinstance(opened, SubscriptionsOpened)
    return opened


def test_halted_symbol_is_served_with_its_history() -> None:
    store = store_with(eth=HALTED)
    store.put_history(ETH, rows(0, 9), None, 0.0, 0.0)
    assert store.catalogue.symbols == ("BTCUSDT", "ETHUSDT")
    assert store.catalogue.details["ETHUSDT"] == HALTED
    found = store.page(ETH, 100, None)
    assert isinstance(found, Page)
    assert len(found.candles) == 10


def test_subscriber_hears_that_its_symbol_is_halted() -> None:
    store = store_with(eth=HALTED)
    assert subscribe(store, BTC, ETH).not_trading == (("ETHUSDT", HALTED),)


def test_each_change_of_a_state_is_one_event() -> None:
    store = store_with()
    assert changes(listed(store, eth=HALTED)) == [SymbolChanged("ETHUSDT", HALTED)]
    assert changes(listed(store, eth=HALTED, now=9.0)) == []
    assert changes(listed(store)) == [SymbolChanged("ETHUSDT", TRADING)]


def test_symbol_that_trades_again_is_asked_for_what_it_missed() -> None:
    store = store_with(eth=HALTED)
    for series in (BTC, ETH):
        store.put_history(series, rows(0, 9), None, 0.0, 0.0)
    assert missing(listed(store)) == [ETH]


def test_halted_symbol_with_a_history_is_no_reason_to_be_unready() -> None:
    """Load balancers and orchestrators do not restart the others for it."""
    store = store_with()
    for series in (BTC, ETH):
        store.put_history(series, rows(0, 9), None, 0.0, 0.0)
    listed(store, eth=HALTED, now=100.0)
    [eth] = store.symbol_overviews(["ETHUSDT"], 100.0)
    assert (eth.not_ready_reason, eth.is_excused) == ("the exchange has halted it (BREAK)", True)
    overview = store.overview(100.0)
    assert (ETH in overview.not_ready, ETH in overview.excused) == (False, True)


def test_halted_symbol_without_history_is_no_reason_to_be_unready_after_a_while() -> None:
    store = store_with()
    listed(store, eth=HALTED, now=100.0)
    listed(store, eth=HALTED, now=130.0)
    for now, is_excused in ((100 + EXCUSED_AFTER, False), (101 + EXCUSED_AFTER, True)):
        [eth] = store.symbol_overviews(["ETHUSDT"], now)
        assert eth.not_ready_reason == "the exchange has halted it (BREAK)"
        assert eth.is_excused is is_excused
        overview = store.overview(now)
        assert (ETH in overview.not_ready, ETH in overview.excused) == (not is_excused, is_excused)
    listed(store, now=200.0)
    assert ETH not in store.overview(300.0).excused


def test_history_of_a_halted_symbol_is_not_asked_for_again_and_again() -> None:
    store = store_with(eth=HALTED)
    store.put_history(ETH, rows(0, 9, closed=True), None, 0.0, 0.0)
    store.put_history(BTC, rows(0, 9, closed=True), None, 0.0, 0.0)
    store.put_updates([(BTC, candle(30, closed=False))], 0.0, 0.0)
    asked = [series for now in range(600) for series in missing(store.check_overdue(now, 0.0))]
    assert ETH not in asked


def test_symbol_that_is_left_out_is_reported_to_those_that_wait_for_it() -> None:
    store = MemoryStore(["BTCUSDT", "ETHUSDT"], [Interval.MINUTE_1])
    subscribe(store, ETH)
    events = listed(store, eth=UNKNOWN)
    assert changes(events) == [SymbolChanged("ETHUSDT", UNKNOWN, ("client",))]
    assert not any(isinstance(event, SeriesWithdrawn) for event in events)
    assert store.page(ETH, 1, None) is PageUnavailable.SYMBOL


def test_symbol_that_is_listed_later_is_served_and_its_subscribers_get_it() -> None:
    store = MemoryStore(["ETHUSDT", "BTCUSDT"], [Interval.MINUTE_1])
    subscribe(store, ETH)
    listed(store, eth=UNKNOWN)
    events = listed(store)
    assert isinstance(events[0], CatalogueChanged)
    assert store.catalogue.symbols == ("ETHUSDT", "BTCUSDT")
    assert missing(events) == [ETH]
    opened = store.put_history(ETH, rows(0, 9), None, 0.0, 0.0)
    assert any(isinstance(event, SubscriptionsOpened) for event in opened)


def test_delisted_symbol_keeps_its_candles() -> None:
    store = store_with()
    store.put_history(ETH, rows(0, 9), None, 0.0, 0.0)
    listed(store, eth=DELISTED)
    assert isinstance(store.page(ETH, 100, None), Page)


def test_history_that_a_client_waits_for_is_asked_for_first() -> None:
    store = store_with()
    wanted = [SubscriptionSpec(ETH, snapshot=10), SubscriptionSpec(BTC)]
    first = store.open_subscriptions(OpenSubscriptions("one", wanted, b"ack"))
    second = store.open_subscriptions(OpenSubscriptions("two", wanted, b"ack"))
    assert first[1:] == [CandlesMissing(ETH, None, None, 0, is_wanted=True)]
    assert second[1:] == []
