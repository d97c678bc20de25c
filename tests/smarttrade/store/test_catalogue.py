from __future__ import annotations

import gc
import time

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.catalogue import SeriesCatalogue
from smarttrade.store.events import CatalogueChanged
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import SubscriptionSpec

INTERVALS = (Interval.MINUTE_1, Interval.HOUR_1)
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def test_same_series_again_are_not_looked_at() -> None:
    catalogue = SeriesCatalogue(SYMBOLS, INTERVALS)
    before = catalogue.states
    assert not catalogue.change([*SYMBOLS], [*INTERVALS])
    assert catalogue.states is before
    assert catalogue.change(SYMBOLS[:1], INTERVALS)
    assert [each.symbol for each in catalogue.states] == ["BTCUSDT"] * 2


def test_symbols_that_are_listed_again_are_no_change_but_of_what_is_known_of_them() -> None:
    """The journal writes that down."""
    store = MemoryStore(SYMBOLS, INTERVALS)
    store.list_symbols(SYMBOLS)
    assert store.list_symbols(SYMBOLS) == [CatalogueChanged()]
    listed = store.listed
    assert store.adopt_catalogue(SYMBOLS, INTERVALS, store.origin) == [CatalogueChanged()]
    assert store.listed == listed


def test_series_are_made_when_they_are_looked_at() -> None:
    catalogue = SeriesCatalogue(SYMBOLS, INTERVALS)
    assert len(catalogue.states) == 4
    assert list(catalogue.states.touched()) == []
    assert catalogue.states.find(Series("BTCUSDT", Interval.DAY_1)) is None
    btc = Series("BTCUSDT", Interval.MINUTE_1)
    state = catalogue.states.find(btc)
    assert state is not None
    assert catalogue.states[btc] is state is catalogue.states.find(btc)
    assert list(catalogue.states.touched()) == [(btc, state)]


def test_series_that_returns_is_what_it_left_and_others_are_new() -> None:
    catalogue = SeriesCatalogue(SYMBOLS, INTERVALS)
    btc = Series("BTCUSDT", Interval.MINUTE_1)
    catalogue.states[btc].pending_subscriptions["client"] = SubscriptionSpec(btc, 5)
    catalogue.change(["ETHUSDT"], INTERVALS)
    assert btc not in catalogue.states
    catalogue.change(SYMBOLS, INTERVALS)
    catalogue.change(["ETHUSDT"], INTERVALS)  # without a look at it meanwhile
    catalogue.change(SYMBOLS, INTERVALS)
    assert list(catalogue.states.touched()) == []
    assert catalogue.waiting_by_symbol() == {}
    catalogue.awaited.add(btc)
    assert catalogue.waiting_by_symbol() == {"BTCUSDT": ("client",)}
    assert catalogue.states[btc].revision == 1


def test_all_series_of_an_exchange_are_taken_over_quickly() -> None:
    """A gateway whose own settings are others does that in one step; 19 ms when all were made."""
    ours, theirs = ([f"{name}{n}USDT" for n in range(1334)] for name in "AB")
    intervals = tuple(Interval)[:6]
    store = MemoryStore(ours, intervals)
    catalogue = SeriesCatalogue(ours, intervals)
    assert store.adopt_catalogue(theirs, intervals, "binance.com") == [CatalogueChanged()]
    gc.collect()
    times = []
    for symbols in (theirs, ours) * 3:
        began = time.thread_time()
        catalogue.change(symbols, intervals)
        times.append(time.thread_time() - began)
    began = time.thread_time()
    _ = [*map(catalogue.states.find, [*catalogue.states])]
    assert min(times) < time.thread_time() - began
