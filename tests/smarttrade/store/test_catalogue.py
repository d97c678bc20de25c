from __future__ import annotations

from smarttrade.market.interval import Interval
from smarttrade.store.catalogue import SeriesCatalogue
from smarttrade.store.events import CatalogueChanged
from smarttrade.store.memory import MemoryStore

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
