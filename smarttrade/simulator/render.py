"""Klines as the exchange writes them: rows over REST, events in streams.

Sources: binance-spot-api-docs, rest-api.md, "Kline/Candlestick data"; web-socket-streams.md,
"Kline/Candlestick Streams for UTC".
"""

from __future__ import annotations

from dataclasses import dataclass

from .calendar import Interval
from .history import Kline

DECIMALS = 8

Row = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
"""Open time, open, high, low, close, volume, close time, quote volume, trades, taker's part of
both volumes, and a field that is not used."""


# By how many of a number's last digits stand behind the point. The quickest of the ways tried:
# a REST page of 1000 klines is 8000 numbers.
_FORMATS = [
    "%d." + (f"%0{decimals}d" if decimals else "%.0s") + "0" * (DECIMALS - decimals)
    for decimals in range(DECIMALS + 1)
]
_POWERS = [10**decimals for decimals in range(DECIMALS + 1)]


def _digits(value: int, decimals: int) -> str:
    """`value` with its last `decimals` digits behind the point, always eight of them shown."""
    text: str = _FORMATS[decimals] % divmod(value, _POWERS[decimals])
    return text


@dataclass(frozen=True, slots=True)
class Renderer:
    """For one symbol, whose ticks and lots have so many decimals, at most 8."""

    symbol: str
    price_decimals: int
    volume_decimals: int

    def row(self, kline: Kline) -> Row:
        open_time, close_time, bar = kline
        price, volume = self.price_decimals, self.volume_decimals
        return (
            open_time,
            _digits(bar.open, price),
            _digits(bar.high, price),
            _digits(bar.low, price),
            _digits(bar.close, price),
            _digits(bar.volume, volume),
            close_time,
            _digits(bar.quote, DECIMALS),
            bar.trades,
            _digits(bar.taker, volume),
            _digits(_taker_quote(kline), DECIMALS),
            "0",
        )

    def event(self, interval: Interval, kline: Kline, time: int, *, closed: bool) -> str:
        """The payload of a kline event that is sent at `time` (ms)."""
        open_time, close_time, bar = kline
        price, volume = self.price_decimals, self.volume_decimals
        first = bar.first_trade if bar.trades else -1
        last = bar.first_trade + bar.trades - 1 if bar.trades else -1
        return (
            f'{{"e":"kline","E":{time},"s":"{self.symbol}","k":{{"t":{open_time},"T":{close_time},'
            f'"s":"{self.symbol}","i":"{interval}","f":{first},"L":{last},'
            f'"o":"{_digits(bar.open, price)}","c":"{_digits(bar.close, price)}",'
            f'"h":"{_digits(bar.high, price)}","l":"{_digits(bar.low, price)}",'
            f'"v":"{_digits(bar.volume, volume)}","n":{bar.trades},'
            f'"x":{"true" if closed else "false"},"q":"{_digits(bar.quote, DECIMALS)}",'
            f'"V":"{_digits(bar.taker, volume)}","Q":"{_digits(_taker_quote(kline), DECIMALS)}",'
            f'"B":"0"}}}}'
        )


def _taker_quote(kline: Kline) -> int:
    bar = kline.bar
    return bar.quote * bar.taker // bar.volume if bar.volume else 0
