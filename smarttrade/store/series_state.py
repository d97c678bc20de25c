"""What is known of one series, and what is answered about it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from ..market.candle import Candle
from ..market.gaps import Gap, Missing
from ..market.interval import Interval
from ..market.packed_candles import PackedCandles
from ..market.series import Series
from ..market.window import Window
from ..market.window_state import WindowState
from .corrections import Corrections
from .events import SeriesReturned, Snapshot, SubscriptionsOpened
from .freshness import Freshness
from .messages import Page, PageUnavailable, SeriesOverview, SubscriptionSpec


class Departed(NamedTuple):
    """What a series that goes leaves for its return."""

    resume_from: int | None
    """The newest open time in ms that its subscribers may hold. They get what follows as soon as
    there is a history. None if it never had one."""
    resume_closed: bool
    """Whether they hold that candle's final state."""
    pending_subscriptions: dict[Hashable, SubscriptionSpec]
    """By subscriber: what is to be sent as soon as there is a history."""
    revision: int

    def from_start(self) -> Departed:
        """The same if its candles are forgotten: subscribers get a whole window."""
        return self._replace(resume_from=0, resume_closed=False)


class SeriesState:
    __slots__ = (
        "_gaps",
        "corrections",
        "freshness",
        "gaps_revision",
        "is_wanted",
        "pending_subscriptions",
        "requested",
        "resume_closed",
        "resume_from",
        "revision",
        "window",
    )

    def __init__(self, interval: Interval, left: Departed | None = None) -> None:
        """`left` is what the series left if it was gone for a while."""
        self.window = Window(interval)
        self.freshness = Freshness(self.window)
        self.corrections = Corrections()
        self.revision = 0 if left is None else left.revision
        """Grows with every change."""
        self.gaps_revision = 0
        """Of the window's gaps when they were last reported."""
        self._gaps: tuple[tuple[int, int, int], tuple[Gap, ...]] = (0, 0, 0), ()
        self.is_wanted = False
        """Whether a client has asked for its history, which is then read before others."""
        self.requested: Missing | None = None
        """What the backfill has been asked for and has not answered."""
        self.resume_from = None if left is None else left.resume_from
        self.resume_closed = left is not None and left.resume_closed
        self.pending_subscriptions = {} if left is None else left.pending_subscriptions

    def state(self, exchange_time: int) -> WindowState | None:
        """All that is known; None when that is nothing yet."""
        if not self.window.is_ready:
            return None
        return self.window.state._replace(corrections=self.corrections.since(exchange_time))

    def departed(self) -> Departed:
        """What the series leaves when it goes now."""
        newest, pending = self.window.newest, self.pending_subscriptions
        if newest is None:
            return Departed(self.resume_from, self.resume_closed, pending, self.revision + 1)
        return Departed(newest.open_time, newest.closed, pending, self.revision + 1)

    def would_go_back(self, candles: Sequence[Candle]) -> bool:
        """Whether subscribers hold a later state than these are, of a series that returns.

        What is stored may be old, and REST lags behind the stream.
        """
        if not self.resume_from or not candles:
            return False
        if candles[-1].open_time < self.resume_from:
            return True
        held = next((c for c in reversed(candles) if c.open_time <= self.resume_from), None)
        return bool(
            self.resume_closed and held and held.open_time == self.resume_from and not held.closed
        )

    def bump_revision(self) -> None:
        """More than some candles have; the gaps are reported with it."""
        self.revision += 1
        self.gaps_revision = self.window.known_gaps.revision

    def page(self, limit: int, before: int | None) -> Page | PageUnavailable:
        """Candles that are final, and one that may not be.

        So it ends at a candle that has just ended and is unsettled, as if the next had not begun.
        """
        window = self.window
        if not window.is_ready:
            return PageUnavailable.HISTORY
        as_of, gaps = window.latest, self.gaps()
        unsettled = window.unsettled(as_of)
        if unsettled is not None and (last := window.candles.find(unsettled)) is not None:
            as_of = max(last.event_time, last.open_time)
            before = min(unsettled + 1, before or unsettled + 1)
            gaps = tuple(gap for gap in gaps if gap.first <= unsettled)
        candles, oldest = window.newest_candles(limit, before), window.oldest
        return Page(
            candles=candles,
            as_of=as_of,
            has_more=bool(candles and oldest and candles[0].open_time > oldest.open_time),
            gaps=gaps,
            revision=self.revision,
        )

    def gaps(self) -> tuple[Gap, ...]:
        """What is absent inside the window; looked for again only when that may have changed."""
        window = self.window
        newest = window.newest
        if newest is None:
            return ()
        seen = window.known_gaps.revision, len(window), newest.open_time
        if self._gaps[0] != seen:
            self._gaps = seen, window.gaps()
        return self._gaps[1]

    def count_gaps(self) -> tuple[int, int]:
        """How many of them are the exchange's, and how many are being filled."""
        gaps = self.gaps()
        at_exchange = sum(gap.cause == "exchange" for gap in gaps) if gaps else 0
        return at_exchange, len(gaps) - at_exchange

    def overview(self, series: Series, now: float, time: int) -> SeriesOverview:
        """`now` is the loop's time in seconds, and `time` the exchange's in milliseconds."""
        received_at = self.freshness.received_at
        return SeriesOverview(
            series=series,
            count=len(self.window),
            newest=self.window.newest,
            age=None if received_at is None else now - received_at,
            not_ready_reason=self.freshness.not_ready_reason(now, time),
            gaps=self.gaps(),
            is_loaded=self.window.is_ready,
        )

    def snapshot(self, wanted: SubscriptionSpec, exchange_time: int) -> Snapshot:
        """What a subscriber wants, and what was corrected lately, perhaps while it was away."""
        window = self.window
        if wanted.since is None:
            return self._divided(wanted.series, window.newest_candles(wanted.snapshot or 0))
        oldest = window.oldest
        truncated = window.is_full and oldest is not None and oldest.open_time > wanted.since
        corrected = self.corrections.oldest(exchange_time)
        begin = wanted.since if corrected is None else min(wanted.since, corrected)
        return self._divided(wanted.series, window.since(begin), truncated=truncated)

    def _divided(
        self, series: Series, candles: PackedCandles, *, truncated: bool = False
    ) -> Snapshot:
        """A snapshot says of its last candle alone whether it is final."""
        first = candles[0].open_time if candles else 0
        unsettled = self.window.unsettled(self.window.latest, first)
        end = len(candles) if unsettled is None else candles.index_of(unsettled) + 1
        return Snapshot(series, candles[:end], truncated, candles[end:])

    def open_waiting(
        self, series: Series, exchange_time: int
    ) -> list[SubscriptionsOpened[Any] | SeriesReturned]:
        """For subscribers that waited for a history, now that there is one."""
        events: list[SubscriptionsOpened[Any] | SeriesReturned] = []
        if self.resume_from is not None:
            wanted = SubscriptionSpec(series, since=self.resume_from)
            events.append(SeriesReturned(self.snapshot(wanted, exchange_time)))
            self.resume_from = None
        pending, self.pending_subscriptions = self.pending_subscriptions, {}
        events += [
            SubscriptionsOpened(subscriber, b"", (series,), (self.snapshot(wanted, exchange_time),))
            for subscriber, wanted in pending.items()
        ]
        return events
