"""A window that is kept equal to another one, which decides about its candles."""

from __future__ import annotations

from collections.abc import Sequence

from .candle import Candle, supersedes
from .change import UNCHANGED, Change
from .published_candles import PublishedCandles
from .window_state import WindowState, adopted


def adopt(replica: PublishedCandles, state: WindowState) -> Change:
    """Become equal to another window of this series.

    Published is what differs, in order. It never goes back, though: what is newer here stays.
    """
    if not replica.is_ready:
        replica.is_ready = True
        _take_over(replica, state.candles, state)
        return UNCHANGED
    became = adopted(replica.candles, state.candles)
    _take_over(replica, became.candles, state)
    oldest = replica.oldest.open_time if replica.oldest else -1
    corrections = tuple(c for c in became.corrections if c.open_time >= oldest)
    return Change(tuple(became.updates), corrections)


def _take_over(replica: PublishedCandles, candles: Sequence[Candle], state: WindowState) -> None:
    replica.replace_all(candles)
    replica.known_gaps.set(state.holes, state.unfilled)
    replica.trim()


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
    elif newest is not None and oldest is not None and candle.open_time < newest.open_time:
        if not corrected or (replica.is_full and candle.open_time < oldest.open_time):
            return UNCHANGED
    else:
        corrected = False
    replica.candles.put(candle)
    replica.trim()
    return Change(corrections=(candle,)) if corrected else Change((candle,))
