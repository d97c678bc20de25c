"""Whether a series lacks a trade that another of its symbol has.

Every trade changes all series of its symbol, so one that does not know of it is not told any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..market.candle import Candle
from ..market.series import Series
from .series_state import SeriesState


def mark_lagging(books: Mapping[Series, SeriesState], now: float) -> None:
    """Since when each series lacks a trade that another of its symbol has."""
    latest: dict[str, Candle] = {}
    for series, book in books.items():
        newest, known = book.window.newest, latest.get(series.symbol)
        if newest is not None and (known is None or _is_told_later(newest, known)):
            latest[series.symbol] = newest
    for series, book in books.items():
        newest, freshness = book.window.newest, book.freshness
        if newest is None or not _lacks_a_trade(newest, latest[series.symbol]):
            freshness.behind_since = None
        elif freshness.behind_since is None:
            freshness.behind_since = now


def _is_told_later(one: Candle, other: Candle) -> bool:
    return (one.event_time, one.open_time) > (other.event_time, other.open_time)


def _lacks_a_trade(newest: Candle, sibling: Candle) -> bool:
    """Whether another series of the symbol, told later, has a trade that this one has not.

    Its price is another, or all of its candle came after what this one knows. A series without
    trades keeps its price, whatever candles without volume begin and end.
    """
    return sibling.event_time > newest.event_time and (
        sibling.close != newest.close
        or (sibling.open_time > newest.event_time and sibling.volume > 0)
    )
