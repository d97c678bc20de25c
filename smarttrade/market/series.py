"""Symbols, and the series of candles that they have."""

from __future__ import annotations

import re
from typing import NamedTuple

from .interval import Interval

# Source: binance-spot-api-docs, rest-api.md, error -1100: legal range '^[\w\-._&&[^a-z]]{1,50}$'.
_SYMBOL = re.compile(r"[\w\-.]{1,50}")


class Series(NamedTuple):
    """All candles of one symbol at one interval."""

    symbol: str
    """Upper case, as in REST: `BTCUSDT`. Stream names lower-case it at the border."""

    interval: Interval

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval.value}"


def parse_symbol(text: str) -> str:
    """Read a symbol, in any case.

    Raises:
        ValueError: the exchange could not have such a symbol.
    """
    symbol = text.strip().upper()
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(f"not a symbol: {text!r}")
    return symbol
