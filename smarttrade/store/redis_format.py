"""How candles are written down in Redis: keys, and the text in them. Plain code.

All keys begin with a namespace. With the default one:

    smarttrade:meta                    hash: format, leader, epoch, batch, seq, state (JSON)
    smarttrade:lease                   string: the leader, while it lives
    smarttrade:candles:BTCUSDT:1m      list, oldest first, of at most 1000 candles
    smarttrade:gaps                    hash: BTCUSDT:1m -> [[holes], [unfilled ranges]]
    smarttrade:changes                 stream: what was written, in order; of bounded length
    smarttrade:quarantine:...          what could not be read, for a week

A candle is `[open_time,open,high,low,close,volume,closed,event_time,read]`, times in ms. An entry
of the stream has `seq`, which grows by one from entry to entry; perhaps `state`, and perhaps
`data`: for each series `[symbol,interval,whole,candles,corrected,gaps]`. If `whole` is true the
list is to be read again; `corrected` has a 0 or 1 for each of the candles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from ..market.candle import Candle
from ..market.gaps import Missing, Span
from ..market.interval import Interval
from ..market.series import Series
from ..market.window import WINDOW_SIZE
from ..market.window_state import WindowState
from .events import Published
from .feed import Feed, FeedStatus

FORMAT = "1"
"""Of all of the above. Raised when what an older version wrote cannot be read any more."""

QUARANTINE_TTL = 7 * 24 * 3600  # seconds

LAST_OPEN_TIME = 32_503_680_000_000  # ms; the year 3000, and the calendar of months ends at 9999


class Damaged(ValueError):
    """What is stored is not what we write; the message says what is wrong with it."""


class Keys:
    """Where things are."""

    def __init__(self, namespace: str) -> None:
        self.meta = f"{namespace}:meta"
        self.lease = f"{namespace}:lease"
        self.gaps = f"{namespace}:gaps"
        self.changes = f"{namespace}:changes"
        self.quarantine = f"{namespace}:quarantine:"
        self._candles = f"{namespace}:candles:"

    def candles(self, series: Series) -> str:
        return self._candles + field_of(series)


def field_of(series: Series) -> str:
    return f"{series.symbol}:{series.interval.value}"


# -- Candles and gaps -----------------------------------------------------------------------


candle_to_text: Callable[[Candle], bytes] = msgspec.json.Encoder().encode
"""Fields in their order; the shortest decimals that read back as the same numbers."""

_decode_candles = msgspec.json.Decoder(tuple[Candle, ...]).decode

_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def candles_from_list(texts: Sequence[bytes]) -> tuple[Candle, ...]:
    """A whole list.

    Raises:
        Damaged: one of them is no candle, or they are not in order.
    """
    try:
        candles = _decode_candles(b"[" + b",".join(texts) + b"]")
    except _UNREADABLE as error:
        raise Damaged(str(error)) from None
    if len(candles) != len(texts) or len(candles) > WINDOW_SIZE:
        raise Damaged(f"{len(candles)} candles in {len(texts)} entries")
    _check(candles)
    return candles


def _check(candles: Sequence[Candle]) -> None:
    before = -1
    for candle in candles:
        time = candle.open_time
        if not before < time < LAST_OPEN_TIME:
            raise Damaged(f"candle out of order: {time}")
        if not candle.low <= candle.high or candle.volume < 0:
            raise Damaged(f"impossible candle at {time}")
        before = time


class StoredGaps(NamedTuple):
    """What a window knows about the open times that it does not have."""

    holes: tuple[Span, ...] = ()
    unfilled: tuple[Missing, ...] = ()


_Spans = list[tuple[int, int]]
_decode_gaps = msgspec.json.Decoder(tuple[_Spans, _Spans]).decode


def gaps_of(state: WindowState) -> StoredGaps:
    return StoredGaps(state.holes, state.unfilled)


def gaps_to_text(gaps: StoredGaps) -> str:
    return msgspec.json.encode(gaps).decode()


def gaps_from_text(text: bytes | None) -> StoredGaps:
    """No text is no gaps.

    Raises:
        Damaged: it is not ours.
    """
    if text is None:
        return StoredGaps()
    try:
        return _gaps(*_decode_gaps(text))
    except _UNREADABLE as error:
        raise Damaged(str(error)) from None


def _gaps(holes: _Spans, unfilled: _Spans) -> StoredGaps:
    return StoredGaps(tuple(Span(*s) for s in holes), tuple(Missing(*s) for s in unfilled))


# -- The state beside candles ------------------------------------------------------------


class StoreState(NamedTuple):
    """Which series there are, and how their feed is."""

    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    feed: FeedStatus


class _State(msgspec.Struct):
    symbols: list[str]
    intervals: list[str]
    feed: str
    since: float


_decode_state = msgspec.json.Decoder(_State).decode


def state_to_text(state: StoreState) -> str:
    intervals = [interval.value for interval in state.intervals]
    feed, since = state.feed
    return msgspec.json.encode(_State([*state.symbols], intervals, feed.value, since)).decode()


def state_from_text(text: bytes | None) -> StoreState | None:
    """None when none is stored.

    Raises:
        Damaged: it is not ours.
    """
    if text is None:
        return None
    try:
        state = _decode_state(text)
        intervals = tuple(map(Interval, state.intervals))
        feed = FeedStatus(Feed(state.feed), state.since)
    except (*_UNREADABLE, ValueError) as error:
        raise Damaged(str(error)) from None
    return StoreState(tuple(state.symbols), intervals, feed)


# -- The change stream ----------------------------------------------------------------------


class SeriesChange(NamedTuple):
    """What one batch did to one series."""

    series: Series
    is_whole: bool
    """Its list was replaced, and is to be read again."""
    published: tuple[Published, ...]
    gaps: StoredGaps | None
    """None when nothing is new about them."""


class Entry(NamedTuple):
    """One batch, as followers receive it. An empty one is the leader's heartbeat."""

    seq: int
    state: StoreState | None
    changes: tuple[SeriesChange, ...]


_Change = tuple[str, str, bool, list[Candle], str, tuple[_Spans, _Spans] | None]
_decode_changes = msgspec.json.Decoder(list[_Change]).decode


def entry_from_fields(fields: Mapping[bytes, bytes]) -> Entry:
    """Read an entry.

    Raises:
        Damaged: it is not ours.
    """
    try:
        seq = int(fields[b"seq"])
        changes = _decode_changes(fields.get(b"data", b"[]"))
        state = state_from_text(fields.get(b"state"))
        return Entry(seq, state, tuple(map(_change, changes)))
    except (*_UNREADABLE, KeyError, ValueError) as error:
        raise Damaged(str(error)) from None


def _change(change: _Change) -> SeriesChange:
    symbol, interval, is_whole, candles, corrected, gaps = change
    series = Series(symbol, Interval(interval))
    published = tuple(
        Published(series, candle, flag == "1")
        for candle, flag in zip(candles, corrected, strict=True)
    )
    return SeriesChange(series, is_whole, published, None if gaps is None else _gaps(*gaps))


def name_in_entry(series: Series) -> str:
    """The first two elements of a change, as JSON without the brackets."""
    return f'"{series.symbol}","{series.interval.value}"'
