from __future__ import annotations

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    Catalogue,
    PageUnavailable,
)
from tests.fakes.candles import BTC, ETH, candle
from tests.smarttrade.store.memory_stores import page, ready_store


def test_only_listed_symbols_are_kept_in_the_configured_order() -> None:
    store = MemoryStore(["C", "A", "B"], [Interval.MINUTE_1])
    assert store.catalogue == Catalogue(("C", "A", "B"), (Interval.MINUTE_1,))
    assert not store.is_listed
    store.list_symbols(["B", "C", "D"])
    assert store.is_listed
    assert store.catalogue.symbols == ("C", "B")
    assert [series.symbol for series in store.listed] == ["C", "B"]
    assert store.page(Series("A", Interval.MINUTE_1), 1, None) is PageUnavailable.SYMBOL


def test_listing_keeps_what_is_known_of_the_others() -> None:
    store = ready_store(0, 3)
    store.list_symbols(["BTCUSDT"])
    assert len(page(store).candles) == 4
    assert store.put_updates([(ETH, candle(4))], 0.0, 0.0) == []
    assert store.overview(0.0).series_count == 2


def test_answer_that_was_kept_does_not_hold_for_a_series_that_returns() -> None:
    store = ready_store(0, 3)
    before = store.revision_of(BTC)
    store.list_symbols(["ETHUSDT"])
    assert store.revision_of(BTC) is None
    store.list_symbols(["BTCUSDT", "ETHUSDT"])
    assert before is not None
    assert (store.revision_of(BTC) or 0) > before
