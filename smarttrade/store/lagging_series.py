"""Whether a series lacks a trade that another of its symbol has.

Every trade changes all series of its symbol, so one that lacks it no longer receives updates.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from ..market.candle import Candle
from .series_state import SeriesState

_recency = attrgetter("event_time", "open_time")


def mark_lagging(states: Iterable[SeriesState], now: float) -> None:
    """Since when each series of one symbol lacks a trade that another of them has."""
    known = [(state.freshness, newest) for state in states if (newest := state.window.newest)]
    latest = max([newest for _, newest in known], key=_recency, default=None)
    for freshness, newest in known:
        if latest is None or not _lacks_a_trade(newest, latest):
            freshness.lagging_since = None
        elif freshness.lagging_since is None:
            freshness.lagging_since = now


def _lacks_a_trade(newest: Candle, other: Candle) -> bool:
    """Whether another series of the symbol, updated later, has a trade that this one has not.

    Its price is another, or all of its candle came after what this one knows. A series without
    trades keeps its price, whatever candles without volume begin and end.
    """
    return other.event_time > newest.event_time and (
        other.close != newest.close or (other.open_time > newest.event_time and other.volume > 0)
    )
