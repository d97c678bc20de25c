"""What may be wrong with stream connections and what arrives on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import smarttrade.binance.streams as names_module
import smarttrade.binance.wire as wire_module
from smarttrade.feed.stall_watch import StallWatch
from smarttrade.feed.stream_connection import StreamConnection
from smarttrade.feed.websocket_client import WebSocket
from smarttrade.market.candle import Candle
from smarttrade.market.series import Series


@contextmanager
def impossible_times() -> Iterator[None]:
    """A kline is believed whatever its times are."""

    def any_candle(_: Series, kline: wire_module._Kline, event_time: int) -> Candle:
        k = kline
        return Candle(
            k.open_time, k.open, k.high, k.low, k.close, k.volume, k.is_closed, event_time
        )

    with patch.object(wire_module, "_live_candle", any_candle):
        yield


@contextmanager
def silence_needs_proof() -> Iterator[None]:
    """A silent connection is kept for as long as REST does not prove that there were trades."""
    with patch.object(StallWatch, "_is_silent", lambda _: False):
        yield


@contextmanager
def subscriptions_unconfirmed() -> Iterator[None]:
    """One request for all streams, of any length; its reply is not awaited."""

    def in_one(names: Iterable[str]) -> Iterator[list[str]]:
        yield list(names)

    async def only_send(self: StreamConnection, websocket: WebSocket) -> None:
        for request in self._request.messages:
            await websocket.send(request)

    with (
        patch.object(names_module, "_parts", in_one),
        patch.object(StreamConnection, "_subscribe", only_send),
    ):
        yield
