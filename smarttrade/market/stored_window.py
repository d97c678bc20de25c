"""Beginning a window with what was stored, and taking what another process has stored since."""

from __future__ import annotations

from .candle import Candle, supersedes
from .change import UNCHANGED, Change
from .packed_candles import PackedCandles
from .window import Window
from .window_state import WindowState


def restore(window: Window, state: WindowState) -> Change:
    """Take a stored state as the first history, unless there is one already.

    Nothing in it is taken for final that was not. What is absent without a reason, or was still
    forming when it was published over, counts as unfilled.
    """
    if window.is_ready:
        return UNCHANGED
    change = window.take_first(state.candles)
    window.known_gaps.set(state.holes, state.unfilled)
    window.known_gaps.add_doubtful(window.candles)
    return change


def merge_stored(window: Window, state: WindowState) -> Change:
    """Take what another process has published of this series and this window lacks.

    Of two states of a candle the later one is kept, so no close is undone on either side; of two
    closed ones, the one with the later event time. Live candles that follow a gap are buffered.
    """
    updates: list[Candle] = []
    corrections: list[Candle] = []
    for candle in PackedCandles.of(state.candles).differing_from(window.candles[:]):
        current = window.candles.find(candle.open_time)
        if current is not None and current.closed and current.same_values(candle):
            continue
        newest = window.newest
        if newest is None or candle.open_time > newest.open_time:
            window.buffer(candle)
        elif candle.open_time == newest.open_time and not newest.closed:
            if supersedes(candle, newest):
                window.candles.newest = candle
                updates.append(candle)
        elif corrected := window.put_past(candle) or _replace_earlier(window, candle):
            corrections.append(corrected)
    for hole in state.holes:
        window.known_gaps.add_hole(hole)
    if corrections:
        window.known_gaps.add_doubtful(window.candles)
    window.known_gaps.settle(window.candles)
    return window.advance(updates, corrections)


def _replace_earlier(window: Window, candle: Candle) -> Candle | None:
    """Put a closed candle in the place of one that was known earlier and differs from it."""
    current = window.candles.find(candle.open_time)
    if current is None or current.same_values(candle):
        return None
    if not candle.closed or candle.event_time <= current.event_time:
        return None
    window.candles.put(candle)
    return candle
