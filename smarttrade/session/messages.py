"""The messages that clients receive over the WebSocket.

`/asyncapi.json` is made from these types, and what is sent is made from them too, but for updates
and snapshots, which `wire.py` puts together from encoded candles, and the legacy form; every
message sent in the tests is validated against the schema.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Identifier = int | str | None

Symbol = Annotated[str, Meta(description="As the exchange writes it.", examples=["BTCUSDT"])]
IntervalName = Annotated[
    str, Meta(description="`1m` is a minute, `1M` a month.", examples=["1m", "1h", "1M"])
]
OpenTime = Annotated[
    int, Meta(description="Seconds since the epoch at which the candle opens.", ge=0)
]
Price = Annotated[float, Meta(description="In the quote asset.")]
Volume = Annotated[float, Meta(description="In the base asset.")]
Wall = Annotated[float, Meta(description="Seconds since the epoch, by the server's clock.")]


Simulated = Annotated[
    bool, Meta(description="Whether the prices are invented, by the built-in simulator.")
]


class JsonCandle(Struct, frozen=True):
    """One bar; the newest one of a series may still form."""

    time: OpenTime
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume


class SeriesName(Struct, frozen=True):
    """Names a series."""

    symbol: Symbol
    interval: IntervalName


class SessionLimitsInfo(Struct, frozen=True):
    """What one session may do."""

    subscriptions: Annotated[int, Meta(description="Series at the same time.")]
    message_bytes: Annotated[int, Meta(description="A longer message ends the session, 1009.")]
    requests_per_second: Annotated[float, Meta(description="Sustained; more end it, 1008.")]
    burst: Annotated[int, Meta(description="Requests at once.")]
    snapshot: Annotated[int, Meta(description="Candles in a snapshot.")]


class Welcome(Struct, frozen=True, tag_field="type", tag="welcome"):
    """First of all messages."""

    server: Annotated[str, Meta(description="Name and version.")]
    session: Annotated[str, Meta(description="Names this session in the server's log.")]
    heartbeat: Annotated[float, Meta(description="Seconds between two heartbeats.")]
    limits: SessionLimitsInfo
    simulated: Simulated = False


class SubscriptionError(Struct, frozen=True):
    """Why one entry of a request was not carried out; the others were."""

    symbol: str | None
    interval: str | None
    code: Annotated[str, Meta(description="Stable, for programs.")]
    message: Annotated[str, Meta(description="A sentence for people.")]


class SubscribedMessage(Struct, frozen=True, tag_field="type", tag="subscribed"):
    """Answers `subscribe`, `unsubscribe` and `list`."""

    id: Annotated[Identifier, Meta(description="That of the request.")]
    subscriptions: Annotated[
        list[SeriesName], Meta(description="All of this session's, in the order of asking.")
    ]
    errors: list[SubscriptionError]


class SnapshotMessage(Struct, frozen=True, tag_field="type", tag="snapshot"):
    """A series at the instant from which on its changes are sent."""

    symbol: Symbol
    interval: IntervalName
    candles: Annotated[list[JsonCandle], Meta(description="Oldest first.", max_length=1000)]
    closed: Annotated[bool, Meta(description="Whether the last candle is final.")]
    truncated: Annotated[
        bool, Meta(description="The server's window no longer reaches back to `since`.")
    ]


class CandleMessage(Struct, frozen=True, tag_field="type", tag="candle"):
    """A new state of one candle."""

    symbol: Symbol
    interval: IntervalName
    candle: JsonCandle
    closed: Annotated[bool, Meta(description="Whether it is final.")]
    corrected: Annotated[
        bool, Meta(description="It repairs the past; there only when it is true.")
    ] = False


class StatusMessage(Struct, frozen=True, tag_field="type", tag="status"):
    """How the exchange's stream does: after `welcome`, and at every change."""

    feed: Annotated[
        Literal["live", "stale", "down"],
        Meta(description="`stale`: connected, but nothing has come for too long."),
    ]
    since: Wall


class SymbolUpdate(Struct, frozen=True, tag_field="type", tag="symbol"):
    """The exchange has halted, delisted or refused a symbol of this session, or trades it again.

    At every change, and after `subscribed` for a symbol that does not trade.
    """

    symbol: Symbol
    state: Annotated[
        Literal["trading", "halted", "delisted", "refused", "unknown"],
        Meta(
            description="`halted`: listed, and not traded now; `delisted`: no longer listed; "
            "`refused`: the exchange does not give its candles; `unknown`: not listed, and left "
            "out until it is. What is known of it is served all the same."
        ),
    ]
    since: Wall
    reason: Annotated[str | None, Meta(description="For people; null while it trades.")]


class Heartbeat(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """The server lives."""

    time: Wall


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """Answers `ping`."""

    id: Annotated[Identifier, Meta(description="That of the request.")]


class Error(Struct, frozen=True, tag_field="type", tag="error"):
    """A request was not understood; the session goes on."""

    id: Annotated[Identifier, Meta(description="That of the request, if it had one.")]
    code: Annotated[str, Meta(description="Stable, for programs.")]
    message: Annotated[str, Meta(description="A sentence for people.")]


class LegacyCandle(Struct, frozen=True):
    """The only message of `/ws/candles/{symbol}`."""

    symbol: Symbol
    timestamp: Annotated[int, Meta(description="Milliseconds since the epoch.", ge=0)]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume
    is_closed: bool


Message = (
    Welcome
    | StatusMessage
    | SymbolUpdate
    | SubscribedMessage
    | SnapshotMessage
    | CandleMessage
    | Heartbeat
    | Pong
    | Error
)
"""Whatever `/ws/candles` says."""
