"""The exchange's payloads, exactly as sent, and their translation into our words.

This is the only module that knows the exchange's field names. Outside this package there are no
klines, only candles.

Sources: binance-spot-api-docs, web-socket-streams.md, "Kline/Candlestick Streams" and "Combined
stream events"; rest-api.md, "Kline/Candlestick data" and "Exchange information".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

import msgspec

from ..feed.errors import Malformed
from ..feed.venue import (
    CandleUpdate,
    Listing,
    ServerShutdown,
    StreamMessage,
    Subscribed,
    SubscribeFailed,
    SymbolStatus,
)
from ..market.candle import Candle
from ..market.packed_candles import ROW, PackedCandles
from ..market.series import Series

YEAR_3000 = 32_503_680_000_000  # ms since the epoch; the calendar of months ends at 9999
_Time = Annotated[int, msgspec.Meta(ge=0, lt=YEAR_3000)]

# What msgspec raises at what it cannot read: the last two at text that is no UTF-8, and at nesting
# without end.
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _Kline(msgspec.Struct):
    open_time: _Time = msgspec.field(name="t")
    close_time: _Time = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i")
    open: float = msgspec.field(name="o")
    high: float = msgspec.field(name="h")
    low: float = msgspec.field(name="l")
    close: float = msgspec.field(name="c")
    volume: float = msgspec.field(name="v")
    is_closed: bool = msgspec.field(name="x")


class _Event(msgspec.Struct):
    kind: str = msgspec.field(name="e")
    time: _Time = msgspec.field(name="E", default=0)
    kline: _Kline | None = msgspec.field(name="k", default=None)


class _Envelope(msgspec.Struct):
    """A combined payload, a raw event, or the answer to a request of ours."""

    data: _Event | None = None
    kind: str | None = msgspec.field(name="e", default=None)
    error: object = None
    code: int | None = None
    id: object = None


class BinanceDecoder:
    """Reads the messages of a combined stream.

    `series` are those that were subscribed to; a kline of any other is malformed.
    """

    # Numbers come as strings; lax decoding reads them as numbers.
    _decode = msgspec.json.Decoder(_Envelope, strict=False).decode

    def __init__(self, series: Iterable[Series]) -> None:
        self._series = {(s.symbol, s.interval.value): s for s in series}

    def decode(self, message: str | bytes) -> StreamMessage | None:
        """What a message means; None when it needs no reaction.

        Raises:
            Malformed: it is not a message of the exchange, or of a series of ours.
        """
        try:
            envelope = self._decode(message)
        except _UNREADABLE as error:
            raise Malformed(str(error)) from None
        event = envelope.data
        if event is None:
            if envelope.error is not None or envelope.code is not None:
                return SubscribeFailed(str(message)[:200])
            if envelope.id is not None:
                return Subscribed()
            return _decode_notice(envelope.kind)
        kline = event.kline
        if kline is None:
            return _decode_notice(event.kind)
        series = self._series.get((kline.symbol, kline.interval))
        if series is None:
            raise Malformed(f"kline of no series of ours: {kline.symbol} {kline.interval}")
        return CandleUpdate(series, _live_candle(series, kline, event.time))


def _decode_notice(kind: str | None) -> ServerShutdown | None:
    return ServerShutdown() if kind == "serverShutdown" else None


def _live_candle(series: Series, kline: _Kline, event_time: int) -> Candle:
    """Times that contradict each other are refused: one of them would become the newest candle."""
    if not event_time:
        raise Malformed("kline without an event time")
    if kline.open_time > event_time:
        raise Malformed(f"kline opens at {kline.open_time}, after its event at {event_time}")
    if not kline.open_time <= kline.close_time < series.interval.next(kline.open_time):
        raise Malformed(f"kline from {kline.open_time} to {kline.close_time}: not a {series}")
    _check(kline.open, kline.high, kline.low, kline.close, kline.volume)
    return Candle(
        kline.open_time,
        kline.open,
        kline.high,
        kline.low,
        kline.close,
        kline.volume,
        kline.is_closed,
        event_time,
    )


def _check(*numbers: float) -> None:
    """JSON has no other numbers, but lax decoding reads `"NaN"` and `"Infinity"` too."""
    if not math.isfinite(sum(numbers)):
        raise Malformed("not a finite number")


class _Row(msgspec.Struct, array_like=True, gc=False):
    """The first fields of a REST kline; more follow.

    Neither these nor what is made of them is looked at by the garbage collector, as a start reads
    a thousand for each series.
    """

    open_time: _Time
    open: float
    high: float
    low: float
    close: float
    volume: float


_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode


def decode_klines(body: bytes, as_of: int) -> PackedCandles:
    """Read an answer of `/api/v3/klines`, oldest first.

    Every row but the last is closed, since the exchange has a later one. `as_of` is the latest
    event time in ms that was known before the request.

    Raises:
        Malformed: it is not such an answer, or is not ascending by the second, which is how clients
            tell candles apart.
    """
    try:
        rows = _decode_rows(body)
    except _UNREADABLE as error:
        raise Malformed(str(error)) from None
    packed = []
    pack = ROW.pack
    previous, newest = -1, len(rows) - 1
    sums = 0.0
    for index, row in enumerate(rows):
        time, open_, high, low = row.open_time, row.open, row.high, row.low
        close, volume = row.close, row.volume
        if time // 1000 <= previous:
            raise Malformed(f"klines not ascending at {time}")
        previous = time // 1000
        sums += open_ + high + low + close + volume
        packed.append(pack(time, open_, high, low, close, volume, index < newest, as_of, True))
    _check(sums)
    return PackedCandles(b"".join(packed))


TRADING = "TRADING"
"""Source: binance-spot-api-docs, enums.md, "Symbol status"."""


class _Filter(msgspec.Struct):
    kind: str = msgspec.field(name="filterType", default="")
    tick_size: Decimal | None = msgspec.field(name="tickSize", default=None)


class _Symbol(msgspec.Struct):
    symbol: str
    status: str
    filters: list[_Filter] = []


class _RateLimit(msgspec.Struct):
    kind: str = msgspec.field(name="rateLimitType", default="")
    interval: str = ""
    number: int = msgspec.field(name="intervalNum", default=0)
    limit: int = 0


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]
    rate_limits: list[_RateLimit] = msgspec.field(name="rateLimits", default_factory=list)
    time: _Time | None = msgspec.field(name="serverTime", default=None)


def decode_listing(body: bytes) -> Listing:
    """Read an answer of `/api/v3/exchangeInfo`.

    Raises:
        Malformed: it is not such an answer.
    """
    try:
        info = msgspec.json.decode(body, type=_ExchangeInfo)
    except _UNREADABLE as error:
        raise Malformed(str(error)) from None
    return Listing(
        {symbol.symbol: _status(symbol) for symbol in info.symbols},
        next((each.limit for each in info.rate_limits if _is_weight(each)), None),
        info.time,
    )


def _status(symbol: _Symbol) -> SymbolStatus:
    """Source: filters.md, "PRICE_FILTER": a `tickSize` of 0 disables the rule."""
    steps = (each.tick_size for each in symbol.filters if each.kind == "PRICE_FILTER")
    tick_size = next((step for step in steps if step and step.is_finite() and step > 0), None)
    return SymbolStatus(symbol.status, symbol.status == TRADING, tick_size)


def _is_weight(limit: _RateLimit) -> bool:
    """Source: enums.md, "Rate limiters"; a limit of nothing would stop everything."""
    is_per_minute = (limit.interval, limit.number) == ("MINUTE", 1)
    return limit.kind == "REQUEST_WEIGHT" and is_per_minute and limit.limit > 0


class _ServerTime(msgspec.Struct):
    time: _Time = msgspec.field(name="serverTime")


def decode_server_time(body: bytes) -> int:
    """Read an answer of `/api/v3/time`, in ms since the epoch.

    Raises:
        Malformed: it is not such an answer.
    """
    try:
        return msgspec.json.decode(body, type=_ServerTime).time
    except _UNREADABLE as error:
        raise Malformed(str(error)) from None


class _Error(msgspec.Struct):
    code: int
    msg: str = ""


def decode_error(body: bytes) -> tuple[int, str] | None:
    """The exchange's own error code and message, or None when it is not such a body."""
    try:
        error = msgspec.json.decode(body, type=_Error)
    except _UNREADABLE:
        return None
    return error.code, error.msg
