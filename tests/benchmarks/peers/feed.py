"""The exchange's updates, as a peer in Python reads and encodes them: each once, for all clients."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
import websockets

SYMBOLS = os.environ["SMARTTRADE_SYMBOLS"].split(",")
INTERVALS = os.environ["SMARTTRADE_INTERVALS"].split(",")
SERIES = [(symbol, interval) for symbol in SYMBOLS for interval in INTERVALS]
WS_URL = os.environ["BINANCE_WS_URL"]

Series = tuple[str, str]
Candle = dict[str, Any]


async def updates() -> AsyncIterator[tuple[Series, Candle, bool]]:
    """New states of candles, and whether each is final."""
    streams = "/".join(f"{symbol.lower()}@kline_{interval}" for symbol, interval in SERIES)
    url = f"{WS_URL}/stream?streams={streams}"
    async for stream in websockets.connect(url, compression=None):
        with suppress(websockets.ConnectionClosed):
            async for message in stream:
                kline = orjson.loads(message)["data"]["k"]
                candle = {
                    "time": kline["t"] // 1000,
                    "open": float(kline["o"]),
                    "high": float(kline["h"]),
                    "low": float(kline["l"]),
                    "close": float(kline["c"]),
                    "volume": float(kline["v"]),
                }
                yield (kline["s"], kline["i"]), candle, kline["x"]


def encode(series: Series, candle: Candle, *, closed: bool) -> bytes:
    """The message that SmartTrade's clients receive."""
    symbol, interval = series
    message = {"type": "candle", "symbol": symbol, "interval": interval, "candle": candle}
    text: bytes = orjson.dumps(message | {"closed": closed})
    return text
