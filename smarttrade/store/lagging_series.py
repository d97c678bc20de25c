"""Whether a series lacks a trade that another of its symbol has.

Every trade changes all series of its symbol, so one that lacks it no longer receives updates.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..market.candle import Candle
from ..market.series import Series
from .series_state import SeriesState


def mark_lagging(series_states: Mapping[Series, SeriesState], now: float) -> None:
    """Since when each series lacks a trade that another of its symbol has."""
    latest: dict[str, Candle] = {}
    for series, state in series_states.items():
        newest, known = state.window.newest, latest.get(series.symbol)
        if newest is not None and (known is None or _is_more_recent(newest, known)):
            latest[series.symbol] = newest
    for series, state in series_states.items():
        newest, freshness = state.window.newest, state.freshness
        if newest is None or not _lacks_a_trade(newest, latest[series.symbol]):
            freshness.lagging_since = None
        elif freshness.lagging_since is None:
            freshness.lagging_since = now


def _is_more_recent(one: Candle, other: Candle) -> bool:
    return (one.event_time, one.open_time) > (other.event_time, other.open_time)


def _lacks_a_trade(newest: Candle, other: Candle) -> bool:
    """Whether another series of the symbol, updated later, has a trade that this one has not.

    Its price is another, or all of its candle came after what this one knows. A series without
    trades keeps its price, whatever candles without volume begin and end.
    """
    return other.event_time > newest.event_time and (
        other.close != newest.close or (other.open_time > newest.event_time and other.volume > 0)
    )
