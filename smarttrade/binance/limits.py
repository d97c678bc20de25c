"""What Binance allows, from its public documents (binance-spot-api-docs)."""

from __future__ import annotations

from ..feed.venue import Limits

EXCHANGE_WEIGHT_LIMIT = 6000
"""A minute per IP address. Source: rest-api.md, "IP Limits", and exchangeInfo's rateLimits."""

KLINES_WEIGHT = 2
EXCHANGE_INFO_WEIGHT = 20
TIME_WEIGHT = 1
"""Source: rest-api.md, "Kline/Candlestick data", "Exchange information", "Check server time"."""

EXCHANGE_CONNECTION_LIMIT = 300
CONNECTION_PERIOD = 300.0  # seconds
"""Attempts per IP address. Source: web-socket-streams.md, "Websocket Limits"."""

MAX_STREAMS = 1024
"""Per connection. Source: the same."""

MAX_MESSAGES = 5
MESSAGE_PERIOD = 1.0  # seconds
"""Incoming messages per connection, pings and pongs included; a connection that sends more is
closed. Source: the same."""

ROTATE_AFTER = 23 * 3600.0
"""Seconds after which a stream connection is replaced; the exchange ends it at 24 hours.
Source: web-socket-streams.md, "General WSS information"."""

LIMITS = Limits(
    weight=EXCHANGE_WEIGHT_LIMIT,
    weight_period=60.0,
    connection_attempts=EXCHANGE_CONNECTION_LIMIT,
    connection_period=CONNECTION_PERIOD,
    max_streams=MAX_STREAMS,
    max_messages=MAX_MESSAGES,
    message_period=MESSAGE_PERIOD,
)
