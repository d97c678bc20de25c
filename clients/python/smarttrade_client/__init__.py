"""Candles from a SmartTrade server.

`Client` blocks; `smarttrade_client.asyncio.AsyncioClient` and `smarttrade_client.trio.TrioClient`
do the same for asyncio and Trio. Every wait is bounded, in each of them.
"""

from .errors import (
    RequestFailed,
    ServerUnavailable,
    SessionRefused,
    SmartTradeError,
    SubscriptionRefused,
)
from .events import Candle, CandleEvent, Event, Missed, Status
from .sync import Client
from .tables import to_csv, to_dataframe

__all__ = [
    "Candle",
    "CandleEvent",
    "Client",
    "Event",
    "Missed",
    "RequestFailed",
    "ServerUnavailable",
    "SessionRefused",
    "SmartTradeError",
    "Status",
    "SubscriptionRefused",
    "to_csv",
    "to_dataframe",
]
