"""What a window knows as a value, to be kept elsewhere; and how one becomes equal to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .candle import Candle, supersedes
from .candle_buffer import CandleBuffer
from .gaps import Missing, Span
from .packed_candles import PackedCandles


class Correction(NamedTuple):
    """When a closed candle was corrected."""

    open_time: int
    """Of the candle, in ms."""
    at: int
    """Exchange time in ms."""


class SeriesNotes(NamedTuple):
    """What is known of a series beside its candles."""

    holes: tuple[Span, ...] = ()
    """Open times that the exchange does not have either."""
    unfilled: tuple[Missing, ...] = ()
    """Ranges that were published over."""
    corrections: tuple[Correction, ...] = ()
    """Of the last hour, in the order in which they were made."""


class WindowState(NamedTuple):
    """All that is known of a series and would have to be read again, as a value."""

    candles: Sequence[Candle]
    holes: tuple[Span, ...] = ()
    """Open times that the exchange does not have either."""
    unfilled: tuple[Missing, ...] = ()
    """Ranges that were published over."""
    corrections: tuple[Correction, ...] = ()
    """Of the last hour. The store keeps them beside the window."""

    @property
    def notes(self) -> SeriesNotes:
        return SeriesNotes(self.holes, self.unfilled, self.corrections)


class Adopted(NamedTuple):
    """What has become of a window that was made equal to another."""

    candles: CandleBuffer
    updates: list[Candle]
    """The newest one's new state, and what follows it."""
    corrections: list[Candle]
    """What differs before it."""


def adopted(mine: PackedCandles, incoming: PackedCandles) -> Adopted:
    """`incoming` instead of `mine`, except for what is newer in `mine`: nothing goes back."""
    old = {candle.open_time: candle for candle in mine.differing_from(incoming)}
    newest = mine[-1].open_time if mine else -1
    result = Adopted(CandleBuffer(incoming), [], [])
    for other in incoming.differing_from(mine):
        current = old.get(other.open_time)
        candle = other if current is None else _later(other, current)
        if candle is not other:
            result.candles.put(candle)
        if current is not None and candle[:7] == current[:7]:
            continue
        if other.open_time >= newest and (current is None or not current.closed):
            result.updates.append(candle)
        elif candle.closed:
            result.corrections.append(candle)
    for candle in mine[mine.index_of(incoming[-1].open_time + 1) :] if incoming else mine:
        result.candles.append(candle)
    return result


def _later(incoming: Candle, current: Candle) -> Candle:
    """Which of two states of one candle to keep, where `incoming` decides between closed ones."""
    if current == incoming:
        return current
    if current.closed and incoming.closed:
        return incoming
    return incoming if supersedes(incoming, current) else current
