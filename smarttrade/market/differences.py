"""Where the exchange's history differs from what was published, and how that is corrected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .candle import Candle
from .change import UNCHANGED, Change
from .packed_candles import PackedCandles
from .published_candles import PublishedCandles


class Difference(NamedTuple):
    """A closed candle that the exchange's history has, and what was published for it."""

    current: Candle | None
    """None when nothing was."""
    row: Candle


def differences(window: PublishedCandles, rows: Sequence[Candle]) -> tuple[Difference, ...]:
    """Which closed `rows` of the exchange's history are not what is published.

    Rows outside the window, and candles that are still forming in it, are not compared.
    """
    oldest, newest = window.oldest, window.newest
    if not rows or oldest is None or newest is None:
        return ()
    published = window.candles.between(rows[0].open_time, rows[-1].open_time + 1)
    suspects = PackedCandles.of(rows).differing_from(published)
    published_at = {candle.open_time: candle for candle in published} if suspects else {}
    found = []
    for row in suspects:
        current = published_at.get(row.open_time)
        if not row.closed or not oldest.open_time <= row.open_time <= newest.open_time:
            continue
        if current is None or (current.closed and not current.same_values(row)):
            found.append(Difference(current, row))
    return tuple(found)


def correct(window: PublishedCandles, row: Candle) -> Change:
    """Take one closed candle that was read again from the exchange and compared.

    A candle that is still forming in the window is left to `Window.apply` and `Window.merge`.
    """
    oldest, newest = window.oldest, window.newest
    if oldest is None or newest is None or row.open_time > newest.open_time:
        return UNCHANGED
    current = window.candles.find(row.open_time)
    if current is None:
        corrected = window.put_past(row) if row.open_time > oldest.open_time else None
        window.known_gaps.settle(window.candles)
        return Change(corrections=(corrected,)) if corrected else UNCHANGED
    if not current.closed or current.same_values(row):
        return UNCHANGED
    window.candles.put(row)
    return Change(corrections=(row,))
