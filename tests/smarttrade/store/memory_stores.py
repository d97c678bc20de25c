"""Stores with the history of one series, and what they emit."""

from __future__ import annotations

from smarttrade.market.candle import Candle
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.store.events import (
    CandlesPublished,
    Event,
    Published,
)
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import (
    Page,
)
from tests.fakes.candles import BTC, rows

UNKNOWN = Series("DOGEUSDT", Interval.MINUTE_1)


def new_store() -> MemoryStore:
    return MemoryStore(["BTCUSDT", "ETHUSDT"], [Interval.MINUTE_1, Interval.HOUR_1])


def ready_store(first: int = 0, last: int = 3) -> MemoryStore:
    """One that has read BTC's history; the last candle is forming."""
    store = new_store()
    store.put_history(BTC, rows(first, last), None, 0.0, 0.0)
    return store


def put(store: MemoryStore, *candles: Candle, now: float = 0.0, wall: float = 0.0) -> list[Event]:
    return store.put_updates([(BTC, each) for each in candles], now, wall)


def page(store: MemoryStore, limit: int = WINDOW_SIZE, before: int | None = None) -> Page:
    found = store.page(BTC, limit, before)
    assert isinstance(found, Page)
    return found


def published(events: list[Event]) -> list[Published]:
    """The published candles, in order."""
    return [
        each for event in events if isinstance(event, CandlesPublished) for each in event.published
    ]
