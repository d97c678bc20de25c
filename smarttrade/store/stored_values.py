"""The decoder of everything that is stored: whatever is in Redis is input.

Other programs, other versions and people write there too. A value is ours only if it is within the
bounds of what this program writes: its size, the digits of its numbers, and its times, none of
which is later than what the exchange's clock showed when it was stored. Anything else is `Damaged`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import NamedTuple, TypeVar

import msgspec

from ..market.gaps import Missing, Span
from ..market.interval import Interval
from ..market.packed_candles import ROW, PackedCandles
from ..market.series import Series, parse_symbol
from ..market.symbol_details import SymbolDetails
from ..market.window import WINDOW_SIZE
from ..market.window_state import Correction, SeriesNotes
from .database import ForeignFormat
from .events import Published
from .exchange_clock import FUTURE_TOLERANCE, latest_credible
from .feed import Feed, FeedStatus
from .origin import is_origin
from .redis_format import FORMAT, Entry, SeriesChange, StateText, StoreState
from .shards import MAX_SHARDS

T = TypeVar("T")

LAST_TIME = 32_503_680_000_000  # ms; the year 3000, and the calendar of months ends at 9999

MAX_DIGITS = 15  # of a number in text: every such number is exact in Lua, too
MAX_CANDLE_TEXT = 300  # bytes; nine numbers of 24 digits and what is between them
MAX_STATE_TEXT = 4_000_000  # bytes; 20,000 symbols of 50 characters, with their details
MAX_NOTES_TEXT = 200_000  # bytes; 1000 holes, ranges and corrections each, of two times
MAX_DATA_TEXT = 16_000_000  # bytes; a batch of 1000 whole windows' notes and candles
MAX_SERIES = 50_000  # of one process; the whole exchange has 3,000 symbols of 16 intervals
MAX_DECIMALS = 18  # of a tick size; the exchange has 8
MAX_STATUS = 50  # characters; the exchange's longest has 13
MAX_SPANS = 10_000  # holes, or ranges, or corrections of one series


class Damaged(ValueError):
    """What is stored is not what we write; the message says what is wrong with it."""


def readable(text: bytes, limit: int = 100) -> str:
    """For logs and pages: at most `limit` characters, none of which does anything else."""
    shown = text[: 4 * limit].decode(errors="replace")[:limit]
    return "".join(c if c.isprintable() else "?" for c in shown)


def number_from_text(text: bytes | None) -> int:
    """A count or a time; 0 when there is none.

    Raises:
        Damaged: it is not one.
    """
    if text is None:
        return 0
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise Damaged(f"not a number: {readable(text)}")
    return int(text)


def origin_from_text(text: bytes | None) -> str:
    """Raises `Damaged` when it is no origin."""
    shown = readable(text or b"", 300)
    if not is_origin(shown):
        raise Damaged(f"not an exchange: {shown!r}")
    return shown


def candles_from_list(texts: Sequence[bytes], time: int) -> PackedCandles:
    """A whole list, as of `time`, which the exchange's clock showed; 0 if that is not known.

    Raises:
        Damaged: one of them is no candle, or they are not in order, or later than `time`.
    """
    if len(texts) > WINDOW_SIZE or any(len(text) > MAX_CANDLE_TEXT for text in texts):
        raise Damaged(f"too long: {len(texts)} candles")
    candles = _decoded(_decode_candles, b"[" + b",".join(texts) + b"]")
    if len(candles) != len(texts):
        raise Damaged(f"{len(candles)} candles in {len(texts)} entries")
    return PackedCandles(b"".join(_checked(candles, time)))


class StoredNotes(NamedTuple):
    notes: SeriesNotes
    is_empty: bool
    """The series has no candle, rather than a list that was lost."""


def notes_from_text(text: bytes | None, time: int) -> StoredNotes:
    """No text is nothing known.

    Raises:
        Damaged: it is not ours.
    """
    if text is None:
        return StoredNotes(SeriesNotes(), is_empty=False)
    if len(text) > MAX_NOTES_TEXT:
        raise Damaged(f"notes of {len(text)} bytes")
    return _notes(_decoded(_decode_notes, text), time)


def state_from_text(text: bytes | None) -> StoreState | None:
    """None when none is stored.

    Raises:
        Damaged: it is not ours.
    """
    if text is None:
        return None
    if len(text) > MAX_STATE_TEXT:
        raise Damaged(f"a state of {len(text)} bytes")
    state = _decoded(_decode_state, text)
    try:
        symbols = tuple(dict.fromkeys(map(parse_symbol, state.symbols)))
        intervals = tuple(dict.fromkeys(map(Interval, state.intervals)))
        feed = FeedStatus(Feed(state.feed), state.since)
        details = {parse_symbol(name): known for name, known in state.details.items()}
    except ValueError as error:
        raise Damaged(f"{error}"[:200]) from None
    if len(symbols) * len(intervals) > MAX_SERIES:
        raise Damaged(f"{len(symbols)} symbols of {len(intervals)} intervals")
    _check_seconds(feed.since)
    _check_shards(state)
    for each in details.values():
        _check_details(each)
    return StoreState(
        symbols, intervals, feed, details, tuple(state.places), tuple(state.populated)
    )


def entry_from_fields(fields: Mapping[bytes, bytes], wall: float) -> Entry:
    """Read an entry of the change stream.

    Without the exchange's time in it, candles are held against `wall`, the local clock in seconds.

    Raises:
        ForeignFormat: another version leads.
        Damaged: it is not ours.
    """
    found = fields.get(b"format", b"")
    if found != FORMAT.encode():
        raise ForeignFormat(found) if found.isdigit() else Damaged("an entry without format")
    seq, time = number_from_text(fields.get(b"seq")), number_from_text(fields.get(b"time"))
    origin = origin_from_text(fields.get(b"origin"))
    data = fields.get(b"data", b"[]")
    if not seq > 0 or time > LAST_TIME or len(data) > MAX_DATA_TEXT:
        raise Damaged(f"entry {seq} of {time}, {len(data)} bytes")
    changes = _decoded(_decode_changes, data)
    state = state_from_text(fields.get(b"state"))
    known = time or latest_credible(0, wall)
    return Entry(seq, state, tuple(_change(each, known) for each in changes), origin, time)


# -- Inside ---------------------------------------------------------------------------------

_Spans = list[tuple[int, int]]


class _Notes(msgspec.Struct, array_like=True):
    """What a later version appends to it is ignored, as in a change."""

    holes: _Spans
    unfilled: _Spans
    corrections: _Spans
    is_empty: bool


class _Candle(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The fields of a `Candle`. A thousand at a time are none of the garbage collector's work."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
    event_time: int = 0
    from_rest: bool = False


class _Change(msgspec.Struct, array_like=True):
    symbol: str
    interval: str
    is_whole: bool
    candles: list[_Candle]
    corrected: str
    notes: _Notes | None


_decode_candles = msgspec.json.Decoder(list[_Candle]).decode
_decode_notes = msgspec.json.Decoder(_Notes).decode
_decode_state = msgspec.json.Decoder(StateText).decode
_decode_changes = msgspec.json.Decoder(list[_Change]).decode


def _decoded(decode: Callable[[bytes], T], text: bytes) -> T:
    try:
        return decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Damaged(f"{error}"[:200]) from None


def _latest(time: int) -> int:
    return min(time + FUTURE_TOLERANCE, LAST_TIME) if time else LAST_TIME


def _checked(candles: Iterable[_Candle], time: int) -> Iterator[bytes]:
    """Each of them packed."""
    before, latest, pack = -1, _latest(time), ROW.pack
    for candle in candles:
        opens, known_at = candle.open_time, candle.event_time
        open_, high, low = candle.open, candle.high, candle.low
        close, volume = candle.close, candle.volume
        if not before < opens <= LAST_TIME:
            raise Damaged(f"candle out of order: {opens}")
        if not (opens <= latest and 0 <= known_at <= latest):
            raise Damaged(f"candle from the future: {opens}, known at {known_at}")
        if not (isfinite(open_ + high + low + close + volume) and low <= high and volume >= 0):
            raise Damaged(f"impossible candle at {opens}")
        before = opens
        yield pack(
            opens, open_, high, low, close, volume, candle.closed, known_at, candle.from_rest
        )


def _check_seconds(since: float) -> None:
    if not (isfinite(since) and 0 <= 1000 * since <= LAST_TIME):
        raise Damaged(f"not a time: {since}")


def _check_shards(state: StateText) -> None:
    if state.places and len(state.places) != len(state.symbols):
        raise Damaged(f"{len(state.places)} places of {len(state.symbols)} symbols")
    if not all(0 <= each < MAX_SERIES for each in state.places):
        raise Damaged("impossible places")
    if not all(0 <= each < MAX_SHARDS for each in state.populated):
        raise Damaged("impossible shards")


def _check_details(details: SymbolDetails) -> None:
    _check_seconds(details.since)
    if details.status is not None and not (
        len(details.status) <= MAX_STATUS and details.status.isprintable()
    ):
        raise Damaged(f"not a status: {details.status!r:.100}")
    tick_size = details.tick_size
    if tick_size is None:
        return
    if not (tick_size.is_finite() and tick_size > 0 and abs(tick_size.adjusted()) <= MAX_DECIMALS):
        raise Damaged(f"not a tick size: {tick_size!s:.50}")
    if (
        len(tick_size.as_tuple().digits) > 2 * MAX_DECIMALS
        or (details.decimals or 0) > MAX_DECIMALS
    ):
        raise Damaged(f"not a tick size: {tick_size!s:.50}")


def _notes(stored: _Notes, time: int) -> StoredNotes:
    latest = _latest(time)
    corrections = stored.corrections
    for spans in (stored.holes, stored.unfilled):
        if len(spans) > MAX_SPANS or not all(0 <= a <= b <= latest for a, b in spans):
            raise Damaged("impossible gaps")
    if len(corrections) > MAX_SPANS or not all(
        0 <= opens <= latest and 0 <= at <= latest for opens, at in corrections
    ):
        raise Damaged("impossible corrections")
    notes = SeriesNotes(
        tuple(Span(*each) for each in stored.holes),
        tuple(Missing(*each) for each in stored.unfilled),
        tuple(Correction(*each) for each in corrections),
    )
    return StoredNotes(notes, stored.is_empty)


def _change(change: _Change, time: int) -> SeriesChange:
    corrected = change.corrected
    try:
        series = Series(parse_symbol(change.symbol), Interval(change.interval))
    except ValueError as error:
        raise Damaged(f"{error}"[:200]) from None
    candles = PackedCandles(b"".join(_checked(change.candles, time)))
    if len(candles) != len(corrected) or corrected.strip("01"):
        raise Damaged(f"{len(candles)} candles, corrected: {corrected!r:.50}")
    published = tuple(
        Published(series, candle, flag == "1")
        for candle, flag in zip(candles, corrected, strict=True)
    )
    if any(each.corrected and not each.candle.closed for each in published):
        raise Damaged("a correction that is not final")
    notes = None if change.notes is None else _notes(change.notes, time).notes
    return SeriesChange(series, change.is_whole, published, notes)
