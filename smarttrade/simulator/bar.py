"""What happened in a stretch of time, in whole numbers, so that parts add up to the whole exactly.

Prices are ticks and volumes lots, whose size the symbol decides (`symbols.py`); `quote` and
everything that is rendered have 8 decimals, as at the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Bar(NamedTuple):
    """Open, high, low, close and what was traded in between.

    Without trades all four prices are the last one before, and all volumes are 0.
    """

    open: int
    """Ticks, like the other prices."""

    high: int
    low: int
    close: int

    volume: int
    """Lots of the base asset."""

    quote: int
    """Hundred-millionths of the quote asset."""

    trades: int

    taker: int
    """Lots bought by takers, at most `volume`."""

    first_trade: int
    """The id of the first trade, or of the next one where there are no trades."""


def merge(bars: Sequence[Bar]) -> Bar:
    """The bar of consecutive `bars`, of which there is at least one."""
    if len(bars) == 1:
        return bars[0]
    _, highs, lows, _, volumes, quotes, trades, takers, _ = zip(*bars, strict=True)
    first = bars[0]
    return Bar(
        first.open,
        max(highs),
        min(lows),
        bars[-1].close,
        sum(volumes),
        sum(quotes),
        sum(trades),
        sum(takers),
        first.first_trade,
    )


def flat(price: int, first_trade: int) -> Bar:
    """Nothing was traded: the price is where it was."""
    return Bar(price, price, price, price, 0, 0, 0, 0, first_trade)
