"""Candles as rows of a table that grows at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec


class CandleRow(msgspec.Struct, frozen=True):
    time: int
    """Seconds since the epoch."""
    open: float
    high: float
    low: float
    close: float
    volume: float


def utc(seconds: float) -> str:
    """A time as people read it; one that no calendar has, as it is."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return f"{seconds:g}"


class Table:
    """Columns as wide, and with as many decimals, as the rows so far need."""

    def __init__(self) -> None:
        self._price = Column()
        self._volume = Column()

    def row(self, candle: CandleRow, state: str) -> str:
        prices = (candle.open, candle.high, candle.low, candle.close)
        for price in prices:
            self._price.fit(price)
        self._volume.fit(candle.volume)
        texts = [self._price.text(price) for price in prices]
        volume = self._volume.text(candle.volume)
        return f"{utc(candle.time)}  {'  '.join(texts)}  {volume}  {state}"


class Column:
    """Numbers below each other, none of them rounded."""

    def __init__(self) -> None:
        self._decimals = 0
        self._width = 0

    def fit(self, number: float) -> None:
        text = f"{Decimal(repr(number)):f}"
        self._decimals = max(self._decimals, len(text.partition(".")[2]))
        self._width = max(self._width, len(self.text(number)))

    def text(self, number: float) -> str:
        return f"{Decimal(repr(number)):{self._width}.{self._decimals}f}"
