"""The newest candles of one series, as they were published, and what is missing among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .candle import Candle, supersedes, with_event_time_of
from .candle_buffer import CandleBuffer
from .gaps import Gap, KnownGaps, Missing
from .interval import Interval
from .packed_candles import PackedCandles
from .settling import SETTLED_AFTER
from .window_state import WindowState


class PublishedCandles:
    """Ascending candles of one series, at most `size`, the newest."""

    __slots__ = ("candles", "interval", "is_ready", "known_gaps", "size")

    def __init__(self, interval: Interval, size: int) -> None:
        self.interval = interval
        self.size = size
        self.is_ready = False
        """Whether there has been a history, even an empty one."""
        self.known_gaps = KnownGaps(interval)
        self.candles = CandleBuffer()

    # -- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.candles)

    def __iter__(self) -> Iterator[Candle]:
        return iter(self.candles)

    @property
    def newest(self) -> Candle | None:
        return self.candles.newest

    @property
    def oldest(self) -> Candle | None:
        return self.candles.oldest

    @property
    def is_full(self) -> bool:
        return len(self.candles) >= self.size

    def newest_candles(self, limit: int, before: int | None = None) -> PackedCandles:
        """At most `limit` candles, the newest of those that open before `before` (ms)."""
        end = len(self.candles) if before is None else self.candles.index_of(before)
        return self.candles[max(0, end - limit) : end]

    def since(self, open_time: int) -> PackedCandles:
        """Every candle that opens at `open_time` (ms) or later."""
        return self.candles[self.candles.index_of(open_time) :]

    def unsettled(self, time: int, since: int = 0) -> int | None:
        """The open time in ms of the first candle that has ended and is not final yet.

        Of those before the newest that open at `since` (ms) or later and ended less than
        `SETTLED_AFTER` ms before `time`, which is exchange time in ms.
        """
        found = None
        for index in range(len(self.candles) - 2, -1, -1):
            candle = self.candles[index]
            ended = self.interval.close_time(candle.open_time)
            if candle.open_time < since or ended <= time - SETTLED_AFTER:
                break
            found = found if candle.closed else candle.open_time
        return found

    @property
    def latest(self) -> int:
        """The latest exchange time in ms that is known of this series; 0 for none."""
        newest = self.newest
        return 0 if newest is None else max(newest.event_time, newest.open_time)

    @property
    def unfilled(self) -> tuple[Missing, ...]:
        """Ranges that were published over, and are still to be read from the exchange."""
        return tuple(self.known_gaps.unfilled)

    @property
    def state(self) -> WindowState:
        """All that would have to be read again, to be kept elsewhere."""
        return WindowState(self.candles[:], tuple(self.known_gaps.holes), self.unfilled)

    def gaps(self) -> tuple[Gap, ...]:
        """What is absent, or not final, between the oldest and the newest candle."""
        return self.known_gaps.among(self.candles)

    def is_overdue(self, exchange_time: int, grace: int) -> bool:
        """Whether the newest candle's time was over `grace` ms ago and no later one came.

        A symbol without trades sends nothing, not even at the turn of the minute; only the
        exchange's history distinguishes that from candles that were lost.
        """
        newest = self.newest
        return newest is not None and (
            exchange_time > self.interval.close_time(newest.open_time) + grace
        )

    # -- changing --------------------------------------------------------------------------

    def replace_all(self, candles: Iterable[Candle]) -> None:
        """Replace all candles."""
        self.candles = CandleBuffer(candles)

    def put_past(self, row: Candle) -> Candle | None:
        """Put a closed candle into the past, unless one is there; None when nothing changed.

        A forming state there would be a correction that is not final.
        """
        if not row.closed:
            return None
        current, oldest = self.candles.find(row.open_time), self.oldest
        if current is not None:
            if not supersedes(row, current):
                return None
            row = with_event_time_of(row, current)
        elif self.is_full and oldest is not None and row.open_time < oldest.open_time:
            return None
        self.candles.put(row)
        self.trim()
        return row

    def trim(self) -> None:
        """Remove the oldest candles beyond `size`, and what is known of gaps before the rest."""
        excess = len(self.candles) - self.size
        if excess <= 0:
            return
        self.candles.remove_oldest(excess)
        if (oldest := self.oldest) is not None:
            self.known_gaps.forget_before(oldest.open_time)
