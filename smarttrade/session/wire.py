"""What clients are sent, encoded once and shared; nothing here waits.

A frame from server to client is not masked (RFC 6455, 5.1), so its bytes are the same for every
client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from ..market.candle import Candle
from ..market.series import Series
from ..market.symbol_details import SymbolDetails
from ..store.feed import FeedStatus
from .candle_texts import CandleTexts, candle_text
from .messages import (
    Error,
    Heartbeat,
    LegacyCandle,
    Message,
    SeriesName,
    StatusMessage,
    SymbolUpdate,
)

encode_json = msgspec.json.Encoder().encode


def frame(payload: bytes) -> bytes:
    """A whole text frame from server to client (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


def message_frame(message: Message | LegacyCandle) -> bytes:
    """A frame of one message, for those that are sent to one client or seldom."""
    return frame(encode_json(message))


class Encoder:
    """Frames about candles, each the same for every client."""

    def __init__(self, texts: CandleTexts) -> None:
        self._texts = texts
        self._heads: dict[Series, bytes] = {}

    def update(self, series: Series, candle: Candle, *, corrected: bool) -> bytes:
        head = self._heads.get(series)
        if head is None:
            head = self._heads[series] = _head("candle", series) + b',"candle":'
        tail = b',"closed":true' if candle.closed else b',"closed":false'
        if corrected:
            tail += b',"corrected":true'
        return frame(head + candle_text(candle) + tail + b"}")

    def snapshot(self, series: Series, candles: Sequence[Candle], *, truncated: bool) -> bytes:
        closed = bool(candles) and candles[-1].closed
        return frame(
            b"".join(
                (
                    _head("snapshot", series),
                    b',"candles":[',
                    self._texts.joined(series, candles),
                    b'],"closed":',
                    encode_json(closed),
                    b',"truncated":',
                    encode_json(truncated),
                    b"}",
                )
            )
        )


def _head(kind: str, series: Series) -> bytes:
    head = {"type": kind, "symbol": series.symbol, "interval": series.interval.value}
    return encode_json(head)[:-1]


def legacy_frame(series: Series, candle: Candle) -> bytes:
    """The frame of the legacy single-symbol endpoint: one flat object, milliseconds."""
    return message_frame(
        LegacyCandle(
            symbol=series.symbol,
            timestamp=candle.open_time,
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume,
            is_closed=candle.closed,
        )
    )


@lru_cache(64)
def status_frame(status: FeedStatus) -> bytes:
    return message_frame(StatusMessage(status.feed.value, round(status.since, 3)))


def withdrawn_frame(series: Series) -> bytes:
    name, interval = series.symbol, series.interval.value
    text = f"{name} {interval} is not served any more; updates go on if it returns"
    return message_frame(Error(None, "series_withdrawn", text))


def symbol_frame(symbol: str, details: SymbolDetails) -> bytes:
    return message_frame(
        SymbolUpdate(symbol, details.state.value, round(details.since, 3), details.reason)
    )


def heartbeat_frame(wall: float) -> bytes:
    """`wall` is the wall clock, in seconds since the epoch."""
    return message_frame(Heartbeat(round(wall, 3)))


def series_names(series: Iterable[Series]) -> list[SeriesName]:
    """Series as clients name them."""
    return [SeriesName(s.symbol, s.interval.value) for s in series]
