"""What messages of the WebSocket endpoint say."""

from __future__ import annotations

from typing import Any

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from tests.fakes.candles import BASE, MINUTE, at, rows
from tests.smarttrade.web.backend import Session

BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}
ETH_1M = {"symbol": "ETHUSDT", "interval": "1m"}
ETH_DAY = Series("ETHUSDT", Interval.DAY_1)


def opened(candles: list[dict[str, Any]]) -> list[int]:
    return [(int(one["time"]) * 1000 - BASE) // MINUTE for one in candles]


def updates(messages: list[dict[str, Any]]) -> list[tuple[str, int, float, bool]]:
    """Symbol, minute, close and whether closed, of each candle message."""
    return [
        (
            one["symbol"],
            opened([one["candle"]])[0],
            float(one["candle"]["close"]),
            one["closed"],
        )
        for one in messages
        if one["type"] == "candle"
    ]


async def began(session: Session) -> None:
    """Past the welcome and the first status."""
    assert (await session.hear())["type"] == "welcome"
    assert (await session.hear())["type"] == "status"


def rows_with_a_hole() -> Any:
    return [one for one in rows(0, 9) if one.open_time not in (at(4), at(5))]
