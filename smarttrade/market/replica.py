"""A window that is kept equal to another one, which decides about its candles."""

from __future__ import annotations

from .candle import Candle, supersedes
from .candle_buffer import CandleBuffer
from .change import UNCHANGED, Change
from .packed_candles import PackedCandles
from .published_candles import PublishedCandles
from .window_state import Adopted, WindowState, adopted


def adopt(replica: PublishedCandles, state: WindowState) -> Change:
    """Become equal to another window of this series.

    What differs is published, in order. What is newer here stays: nothing goes back.
    """
    incoming = PackedCandles.of(state.candles)
    was_ready, replica.is_ready = replica.is_ready, True
    mine = replica.candles[:]
    became = adopted(mine, incoming) if was_ready else Adopted(CandleBuffer(incoming), [], [])
    replica.candles = became.candles
    replica.known_gaps.set(state.holes, state.unfilled)
    replica.trim()
    if not was_ready:
        return UNCHANGED
    oldest = replica.oldest.open_time if replica.oldest else -1
    corrections = tuple(c for c in became.corrections if c.open_time >= oldest)
    return Change(tuple(became.updates), corrections)


def follow(replica: PublishedCandles, candle: Candle, *, corrected: bool) -> Change:
    """Take a state that the other window has published.

    A state that was known already, or is older than what is, changes nothing.
    """
    if corrected and not candle.closed:
        return UNCHANGED
    newest, oldest = replica.newest, replica.oldest
    current = replica.candles.find(candle.open_time)
    if current is not None:
        if candle == current or not (corrected or supersedes(candle, current)):
            return UNCHANGED
    elif newest is None or oldest is None or candle.open_time > newest.open_time:
        corrected = False
    elif not corrected or (replica.is_full and candle.open_time < oldest.open_time):
        return UNCHANGED
    if newest is not None and candle.open_time < newest.open_time:
        if not candle.closed:
            return UNCHANGED
        corrected = True
    replica.candles.put(candle)
    replica.trim()
    return Change(corrections=(candle,)) if corrected else Change((candle,))
