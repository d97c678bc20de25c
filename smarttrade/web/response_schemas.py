"""What the REST routes answer, type by type; `/openapi.json` is made from these.

Answers are encoded from them, but for candles (`candles.py`), which are put together from texts
that are there already, and problems (`problem.py`); the tests validate those too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from ..session.messages import IntervalName, JsonCandle, Simulated, Symbol

Milliseconds = Annotated[int, Meta(description="Since the epoch.", ge=0)]
Seconds = Annotated[float, Meta(description="Since the epoch, by the server's clock.")]
Store = Annotated[
    dict[str, Any],
    Meta(
        description="Where candles are kept: `kind` is `memory` or `redis`, and how that goes; with"
        " several `shards`, each of them, and in the whole the role of the worst."
    ),
]
PublicStore = Annotated[
    dict[str, Any],
    Meta(
        description="Where candles are kept: `kind` is `memory` or `redis`; with Redis also `role`,"
        " `since` when it has that, and the `lag` in seconds. `/ready` and `/system` say more."
    ),
]


class SymbolInfo(Struct, frozen=True):
    """What the exchange's listing says of a symbol; null while that is unknown."""

    symbol: Symbol
    status: Annotated[
        str | None, Meta(description="As the exchange names it: `TRADING`, `HALT`, `BREAK`.")
    ]
    tick_size: Annotated[float | None, Meta(description="The smallest step of a price.")]
    decimals: Annotated[int | None, Meta(description="Digits after the point of a price.")]


class SymbolList(Struct, frozen=True, omit_defaults=True):
    """The configured symbols that the exchange lists."""

    symbols: list[Symbol]
    details: Annotated[
        list[SymbolInfo] | None, Meta(description="One for each symbol; with `details=1` only.")
    ] = None


class IntervalList(Struct, frozen=True):
    """Which intervals there are of each symbol."""

    intervals: list[IntervalName]


class Gap(Struct, frozen=True):
    """Open times that are missing inside the window, both inclusive."""

    first: Annotated[int, Meta(description="Seconds since the epoch.")] = field(name="from")
    to: Annotated[int, Meta(description="Seconds since the epoch.")]
    cause: Annotated[
        Literal["exchange", "unfilled"],
        Meta(description="`exchange`: it does not have them either. `unfilled`: being read."),
    ]


class CandlePage(Struct, frozen=True):
    """Some of a series' candles, as they were at one instant."""

    symbol: Symbol
    interval: IntervalName
    candles: Annotated[list[JsonCandle], Meta(description="Oldest first.", max_length=1000)]
    closed: Annotated[bool, Meta(description="Whether the last candle is final.")]
    as_of: Annotated[
        Milliseconds,
        Meta(description="Everything that the exchange sent up to this time, in ms, is included."),
    ]
    has_more: Annotated[bool, Meta(description="The window holds older ones: ask with `before`.")]
    gaps: list[Gap]


class SeriesStatus(Struct, frozen=True):
    """One series at a glance; what is null is not known yet."""

    symbol: Symbol
    interval: IntervalName
    count: Annotated[int, Meta(description="Candles in the window.", ge=0)]
    last_candle_time: Annotated[int | None, Meta(description="In seconds since the epoch.")]
    last_open: float | None
    last_high: float | None
    last_low: float | None
    last_close: float | None
    closed: Annotated[bool | None, Meta(description="Whether the last candle is final.")]
    age: Annotated[
        float | None, Meta(description="Seconds since the exchange last sent the series.")
    ]
    status: Annotated[str, Meta(description="`ok`, or why it is not ready.")]
    gaps: Annotated[int, Meta(description="Ranges missing inside the window.", ge=0)]
    gaps_unfilled: Annotated[int, Meta(description="Those that are being read.", ge=0)]
    shard: Annotated[
        int | UnsetType, Meta(description="To which the symbol belongs, if there are several.")
    ] = UNSET


FeedName = Literal["live", "stale", "down"]


class StreamingStatus(Struct, frozen=True):
    """Every series at a glance, or those that were asked for."""

    symbols: list[Symbol]
    per_symbol: Annotated[
        list[SeriesStatus],
        Meta(description="One for each symbol and interval, or for those that were asked for."),
    ]
    last_store_update_ts: Seconds | None
    feed: FeedName
    feed_since: Seconds
    store: PublicStore
    simulated: Simulated
    age: Annotated[
        float | None, Meta(description="Seconds since the exchange last sent any series.")
    ]
    series: Annotated[int, Meta(description="How many there are.", ge=0)]
    not_ready: Annotated[int, Meta(description="How many of them are a reason to be not ready.")]
    gaps_unfilled: Annotated[int, Meta(description="Ranges that are being read, of all.", ge=0)]
    matching: Annotated[
        int, Meta(description="How many match `search` and `not_ready`, whatever `limit` is.", ge=0)
    ]
    offset: Annotated[int, Meta(description="How many of these come before the first here.", ge=0)]


class Health(Struct, frozen=True):
    """The process lives."""

    status: Literal["ok"]


class SymbolNotTrading(Struct, frozen=True):
    """A configured symbol that the exchange does not trade now."""

    symbol: Symbol
    state: Annotated[
        str,
        Meta(
            description="As in the WebSocket's `symbol` message.",
            extra_json_schema={"enum": ["halted", "delisted", "refused", "unknown"]},
        ),
    ]
    reason: str
    since: Annotated[float, Meta(description="Seconds since the epoch, by the server's clock.")]


class Ready(Struct, frozen=True):
    """Every series is complete and up to date; with `for=traffic`, candles can be served."""

    status: Literal["ready"]
    store: Store
    simulated: Simulated
    symbols: Annotated[
        list[SymbolNotTrading], Meta(description="Why these are not live; no reason to be unready.")
    ] = []


class Actor(Struct, frozen=True):
    """One actor or supervisor, and those below it."""

    name: str
    state: Annotated[
        Literal[
            "waiting",
            "starting",
            "running",
            "pausing",
            "stopping",
            "stopped",
            "failed",
            "unkillable",
        ],
        Meta(description="`pausing`: about to be restarted."),
    ]
    restarts: Annotated[int, Meta(ge=0)]
    last_error: Annotated[
        str | None, Meta(description="The last failure, which it may have recovered from.")
    ]
    mailbox_depth: Annotated[int | None, Meta(description="Messages that wait.")]
    mailbox_capacity: int | None
    handled: Annotated[int | None, Meta(description="Messages taken.")]
    children: list[Actor]


class ExchangeHost(Struct, frozen=True):
    """A host of the exchange, and how it is."""

    use: Literal["rest", "stream"]
    host: Annotated[str, Meta(description="Its name, and the port if that is unusual.")]
    state: Annotated[
        Literal["ok", "limited", "banned", "blocked", "overloaded", "silent", "failing"],
        Meta(description="Why it is not asked now, or was not until it answers."),
    ]
    retry_in: Annotated[float, Meta(ge=0, description="Seconds until it is asked again.")]


class System(Actor, frozen=True):
    """The supervision tree from the service down."""

    server: Annotated[str, Meta(description="Name and version.")]
    uptime: Annotated[float, Meta(description="Seconds since the process began.")]
    store: Store
    hosts: Annotated[list[ExchangeHost], Meta(description="Of the exchange; none without a feed.")]
    simulated: Simulated


class Problem(Struct, frozen=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: Annotated[str, Meta(description="Stable, for programs.")]
    detail: Annotated[str, Meta(description="A sentence for people.")]


class UnreadySeries(Struct, frozen=True):
    """Why a series is not ready."""

    symbol: Symbol
    interval: IntervalName
    reason: str


class NotReady(Problem, frozen=True, kw_only=True):
    """What is not ready, and why; when the store does not answer, only that."""

    feed: FeedName | None = None
    series: Annotated[list[UnreadySeries], Meta(description="At most 20.", max_length=20)] = []
    more: Annotated[int, Meta(description="How many there are besides.", ge=0)] = 0
    symbols: list[SymbolNotTrading] = []
    store: Store = {}
    simulated: Simulated = False
