"""How candles are written down in Redis: keys, and the text in them. Plain code.

All keys begin with a namespace and a shard, whose braces put them in one slot of a Redis Cluster.
With the default namespace, and candles of binance.com:

    {smarttrade:0}:meta                hash: format, origin, leader, epoch, batch, seq, time,
                                       state (JSON)
    {smarttrade:0}:lease               string: the leader and its origin, while it lives
    {smarttrade:0}:candles:binance.com:BTCUSDT:1m
                                       list, oldest first, of at most 1000 candles
    {smarttrade:0}:notes:binance.com   hash: BTCUSDT:1m -> [[holes], [unfilled ranges],
                                       [corrections], whether the series has no candle at all]
    {smarttrade:0}:changes             stream: what was written, in order; of bounded length
    {smarttrade:0}:quarantine:...      what could not be read, for a week
    {smarttrade}:shards                string: how many shards there are

The origin is the exchange that candles came from (`market/origin.py`); nothing is read whose origin
is another one. A candle is `[open_time,open,high,low,close,volume,closed,event_time,read]`. An
entry of the stream has `seq`, which grows by one from entry to entry; `format`; `origin`; `time`;
perhaps `state`, and perhaps `data`: for each series
`[symbol,interval,whole,candles,corrected,notes]`. If `whole` is true the list is to be read again;
`corrected` has a 0 or 1 for each of the candles. `state` has symbols, intervals, the feed, and
perhaps the `details` of each symbol; with several shards also the `places` of its symbols among
all, and which shards are `populated`.
Times are the exchange's, in ms.

Formats 1 (of 0.1.0) and 2 have no shard in their keys: `smarttrade:meta`. They are neither read nor
changed. From format 3 on, `meta`'s `format` and the lease stay where they are, so that two versions
see each other: a version that finds another format changes nothing. A later version either reads
format 3, or leaves it alone. What it adds to `meta`, `state`, entries, changes and notes without
another format is ignored by an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from ..market.candle import Candle
from ..market.interval import Interval
from ..market.series import Series
from ..market.symbol_details import SymbolDetails
from ..market.window_state import SeriesNotes
from .events import Published
from .feed import FeedStatus

FORMAT = "3"
"""Of all of the above. Raised when what an older version wrote cannot be read any more."""

QUARANTINE_TTL = 7 * 24 * 3600  # seconds


class Keys:
    """Where a shard's things are, or another `part` of what is in its slot."""

    def __init__(self, namespace: str, shard: int, part: str = "") -> None:
        self.namespace = namespace
        self.shards = f"{{{namespace}}}{part}:shards"
        self.quarantined_shards = f"{{{namespace}}}{part}:quarantine:{self.shards}"
        self._prefix = f"{{{namespace}:{shard}}}{part}"
        self.meta = f"{self._prefix}:meta"
        self.lease = f"{self._prefix}:lease"
        self.changes = f"{self._prefix}:changes"
        self.quarantine = f"{self._prefix}:quarantine:"
        self.former_meta = f"{namespace}:meta"
        """Of formats 1 and 2."""

    def notes(self, origin: str) -> str:
        return f"{self._prefix}:notes:{origin}"

    def candles(self, origin: str, series: Series) -> str:
        return f"{self._prefix}:candles:{origin}:{field_of(series)}"


def field_of(series: Series) -> str:
    return f"{series.symbol}:{series.interval.value}"


def lease_of(leader: str, origin: str) -> str:
    """What the lease says while `leader` has it."""
    return f"{leader}@{origin}"


# -- What is written ------------------------------------------------------------------------


candle_to_text: Callable[[Candle], bytes] = msgspec.json.Encoder().encode
"""Fields in their order; the shortest decimals that read back as the same numbers."""


def notes_to_text(notes: SeriesNotes, *, is_empty: bool = False) -> str:
    """`is_empty` says that the series has no candle, which an absent list does not."""
    return msgspec.json.encode((*notes, is_empty)).decode()


class StoreState(NamedTuple):
    """Which series there are, and how their feed is."""

    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    feed: FeedStatus
    details: Mapping[str, SymbolDetails] = {}
    """By symbol, those that are not served too; none while the exchange was not asked."""
    places: tuple[int, ...] = ()
    """Of each symbol among those of all shards; empty if there is only one shard."""
    populated: tuple[int, ...] = ()
    """Shards that have symbols; empty likewise."""


class StateText(msgspec.Struct, omit_defaults=True):
    """Those with a default came later than the others: a state without them is read as well."""

    symbols: list[str]
    intervals: list[str]
    feed: str
    since: float
    details: dict[str, SymbolDetails] = {}
    places: list[int] = []
    populated: list[int] = []


def state_to_text(state: StoreState) -> str:
    intervals = [interval.value for interval in state.intervals]
    feed, since = state.feed
    text = StateText(
        [*state.symbols],
        intervals,
        feed.value,
        since,
        dict(state.details),
        [*state.places],
        [*state.populated],
    )
    return msgspec.json.encode(text).decode()


def name_in_entry(series: Series) -> str:
    """The first two elements of a change, as JSON without the brackets."""
    return f'"{series.symbol}","{series.interval.value}"'


# -- The change stream ----------------------------------------------------------------------


class SeriesChange(NamedTuple):
    """What one batch did to one series."""

    series: Series
    is_whole: bool
    """Its list was replaced, and is to be read again."""
    published: tuple[Published, ...]
    notes: SeriesNotes | None
    """None when nothing is new about them."""


class Entry(NamedTuple):
    """One batch, as followers receive it. An empty one is the leader's heartbeat."""

    seq: int
    state: StoreState | None
    changes: tuple[SeriesChange, ...]
    origin: str = ""
    time: int = 0
    """What the exchange's clock showed, in ms; 0 if the leader did not know."""
