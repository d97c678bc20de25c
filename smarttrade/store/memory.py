"""Every series' window, in memory: the truth from which all reads are answered.

Plain code: each method takes what happened and when, and returns the events to send. The actor
beside it sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..market.candle import Candle
from ..market.gaps import Missing, Span
from ..market.interval import Interval
from ..market.series import Series
from ..market.window import Change, Difference
from ..market.window_state import WindowState
from .counters import StoreCounters
from .events import (
    CandlesMissing,
    CandlesPublished,
    CatalogueChanged,
    Event,
    FeedChanged,
    GapsChanged,
    Published,
    SubscriptionsClosed,
    SubscriptionsOpened,
    WindowReplaced,
)
from .exchange_clock import ExchangeClock
from .feed import Feed, FeedStatus
from .lagging_series import mark_lagging
from .messages import (
    Catalogue,
    CloseSubscriptions,
    OpenSubscriptions,
    Overview,
    Page,
    PageUnavailable,
)
from .series_state import SeriesState


class MemoryStore:
    """All windows, and who waits for one that has no history yet."""

    def __init__(
        self,
        symbols: Sequence[str],
        intervals: Sequence[Interval],
        counters: StoreCounters | None = None,
    ) -> None:
        self.counters = counters or StoreCounters()
        self.symbols = tuple(symbols)
        self.intervals = tuple(intervals)
        self.is_listed = False
        self.feed = FeedStatus(Feed.DOWN, 0.0)
        self.updated_at: float | None = None
        self._series = {
            Series(symbol, interval): SeriesState(interval)
            for symbol in self.symbols
            for interval in self.intervals
        }
        self._clock = ExchangeClock()

    # -- candles ---------------------------------------------------------------------------

    def put_updates(
        self, updates: Iterable[tuple[Series, Candle]], now: float, wall: float
    ) -> list[Event]:
        """Apply live candles. `now` is the loop's time and `wall` the wall clock, in seconds."""
        published: list[Published] = []
        missing: list[Event] = []
        series_states, clock = self._series, self._clock
        for series, candle in updates:
            state = series_states.get(series)
            if state is None:
                continue
            state.freshness.received_at = now
            if candle.event_time > clock.latest:
                clock.latest, clock.latest_at = candle.event_time, now
            change = state.window.apply(candle)
            if change.missing is not None:
                missing += self._ask(series, state, change.missing)
            elif change.updates:
                state.freshness.unconfirmed_since = None
            self._collect(series, state, change, published)
            if state.gaps_revision != state.window.known_gaps.revision:
                missing += self._gap_events(series, state)
        if not published:
            return missing
        self.counters.published += len(published)
        self.updated_at = wall
        return [CandlesPublished(published), *missing]

    def put_history(
        self,
        series: Series,
        rows: Sequence[Candle],
        first: int | None,
        wall: float,
        now: float,
    ) -> list[Event]:
        """Merge rows that were read over REST; the first ones make the series ready.

        Rows that reach the newest candle count as news of the series, as the stream's do.
        """
        state = self._series.get(series)
        if state is None:
            return []
        state.asked = None
        state.freshness.unconfirmed_since = None
        window = state.window
        state.freshness.note_answer(rows, first, now, self._clock.estimate(now))
        rows = [self._as_known(row) for row in rows]
        if not window.is_ready:
            return self._begin(series, state, rows, wall)
        before = window.newest
        events = self._published(series, state, window.merge(rows, first), wall)
        if before and window.oldest and before.open_time < window.oldest.open_time:
            events.append(WindowReplaced(series))
        return events

    def history_refused(self, series: Series, now: float) -> list[Event]:
        """Nothing came of a question: what is still missing is asked for again, ever later."""
        if (state := self._series.get(series)) is not None:
            state.freshness.ask_later(now)
        return []

    def _begin(
        self, series: Series, state: SeriesState, rows: Sequence[Candle], wall: float
    ) -> list[Event]:
        """The first history. Who subscribed without a snapshot gets what is news: live candles."""
        news = state.window.oldest_buffered
        change = state.window.merge(rows)
        state.has_changed()
        self.updated_at = wall
        events: list[Event] = []
        if news is not None and (live := [c for c in change.updates if c.open_time >= news]):
            events.append(CandlesPublished([Published(series, candle, False) for candle in live]))
        events += state.open_waiting(series, self._clock.latest)
        if change.missing is not None:
            events += self._ask(series, state, change.missing)
        return [*events, WindowReplaced(series)]

    def differences(self, series: Series, rows: Sequence[Candle]) -> tuple[Difference, ...]:
        """Which closed rows of the exchange's history are not what was published."""
        state = self._series.get(series)
        return () if state is None else state.window.differences(rows)

    def correct(self, series: Series, rows: Iterable[Candle], wall: float) -> list[Event]:
        """Put closed rows of the exchange's history in the place of what differs from them."""
        state = self._series.get(series)
        if state is None:
            return []
        return [
            event
            for row in rows
            for event in self._published(series, state, state.window.correct(row), wall)
        ]

    def _as_known(self, row: Candle) -> Candle:
        """A forming state counts as known now: events that were on their way are not later."""
        if row.closed or row.event_time >= self._clock.latest:
            return row
        return row._replace(event_time=self._clock.latest)

    def _published(
        self, series: Series, state: SeriesState, change: Change, wall: float
    ) -> list[Event]:
        published: list[Published] = []
        self._collect(series, state, change, published)
        events: list[Event] = []
        if published:
            self.counters.published += len(published)
            self.updated_at = wall
            events.append(CandlesPublished(published))
        if change.missing is not None:
            events += self._ask(series, state, change.missing)
        return events + self._gap_events(series, state)

    @staticmethod
    def _gap_events(series: Series, state: SeriesState) -> list[Event]:
        if state.gaps_revision == state.window.known_gaps.revision:
            return []
        state.has_changed()
        return [GapsChanged(series)]

    def _collect(
        self, series: Series, state: SeriesState, change: Change, into: list[Published]
    ) -> None:
        if not change:
            return
        state.revision += 1
        if change.corrections:
            self.counters.corrected += len(change.corrections)
            state.corrections.note(change.corrections, self._clock.latest)
            into += [Published(series, candle, True) for candle in change.corrections]
        into += [Published(series, candle, False) for candle in change.updates]

    def _ask(self, series: Series, state: SeriesState, missing: Missing) -> list[Event]:
        """Ask for what is missing, once, however many live candles come meanwhile."""
        if state.asked == missing:
            return []
        state.asked = missing
        self.counters.missing += 1
        return [CandlesMissing(series, missing.first, missing.last, self._clock.latest)]

    # -- copies ----------------------------------------------------------------------------

    def state_of(self, series: Series) -> WindowState | None:
        """All that is known of a series; None when that is nothing yet."""
        state = self._series.get(series)
        return state.window.state if state is not None and state.window.is_ready else None

    def restore(
        self,
        windows: Iterable[tuple[Series, WindowState]],
        listed: Iterable[str],
        now: float,
    ) -> list[Event]:
        """Begin with what was stored, where there is nothing yet."""
        events: list[Event] = []
        for series, stored in windows:
            state = self._series.get(series)
            if state is None or state.window.is_ready or not stored.candles:
                continue
            change = state.window.restore(stored)
            state.freshness.unconfirmed_since = now
            state.has_changed()
            now_known = state.window.state
            if now_known.candles != stored.candles:
                events.append(WindowReplaced(series))
            elif now_known != stored:
                events.append(GapsChanged(series))
            events += state.open_waiting(series, self._clock.latest)
            if change.missing is not None:
                events += self._ask(series, state, change.missing)
        if not self.is_listed and set(self.symbols) <= set(listed):
            self.is_listed = True  # the exchange is asked again; meanwhile this is most likely
        return events

    def adopt_catalogue(self, symbols: Iterable[str], intervals: Iterable[Interval]) -> list[Event]:
        """Have these series and no others."""
        self.symbols, self.intervals = tuple(symbols), tuple(intervals)
        self._series = {
            series: self._series.get(series) or SeriesState(series.interval)
            for series in (Series(s, i) for s in self.symbols for i in self.intervals)
        }
        return [CatalogueChanged()]

    def adopt(self, windows: Iterable[tuple[Series, WindowState]], wall: float) -> list[Event]:
        """Become equal to the leader's windows; what differs is published."""
        events: list[Event] = []
        for series, stored in windows:
            state = self._series.get(series)
            if state is None:
                continue
            was_ready = state.window.is_ready
            change = state.window.adopt(stored)
            if was_ready:
                events += self._published(series, state, change, wall)
            else:
                state.has_changed()
                events += state.open_waiting(series, self._clock.latest)
        self.updated_at = wall
        return events

    def follow(
        self,
        published: Iterable[Published],
        gaps: Mapping[Series, tuple[Iterable[Span], Iterable[Missing]]],
        now: float,
        wall: float,
    ) -> list[Event]:
        """Apply what the leader has published; what is known already is left out."""
        news: list[Published] = []
        clock = self._clock
        for series, candle, corrected in published:
            state = self._series.get(series)
            if state is None or not state.window.is_ready:
                continue
            if not corrected:
                state.freshness.received_at = now
            if candle.event_time > clock.latest:
                clock.latest, clock.latest_at = candle.event_time, now
            self._collect(series, state, state.window.follow(candle, corrected=corrected), news)
        events: list[Event] = [CandlesPublished(news)] if news else []
        for series, (holes, unfilled) in gaps.items():
            if (state := self._series.get(series)) is not None:
                state.window.known_gaps.set(holes, unfilled)
                events += self._gap_events(series, state)
        self.counters.published += len(news)
        self.updated_at = wall if news else self.updated_at
        return events

    # -- what is missing -------------------------------------------------------------------

    def find_missing(self, wanted: Iterable[Series], *, but_stored: bool = False) -> list[Event]:
        """What each series lacks from its first unsettled candle up to now."""
        return [
            CandlesMissing(series, state.freshness.unsettled(), None, self._clock.latest)
            for series in wanted
            if (state := self._series.get(series)) is not None
            and not (but_stored and state.freshness.unconfirmed_since is not None)
        ]

    def check_overdue(self, now: float, wall: float) -> list[Event]:
        """Ask for what is overdue, and publish what has been buffered for too long."""
        time = self._clock.estimate(now)
        events: list[Event] = []
        overdue = []
        mark_lagging(self._series, now)
        for series, state in self._series.items():
            if state.freshness.has_buffered_too_long(now):
                events += self._published(series, state, state.window.release(), wall)
            if state.freshness.is_due(now, time):
                overdue.append(series)
        return events + self.find_missing(overdue)

    # -- catalogue -------------------------------------------------------------------------

    @property
    def listed(self) -> tuple[Series, ...]:
        return tuple(self._series)

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.symbols, self.intervals)

    def list_symbols(self, symbols: Iterable[str]) -> list[Event]:
        """Keep only `symbols` of those that are configured."""
        kept = set(symbols)
        self.is_listed = True
        self.symbols = tuple(symbol for symbol in self.symbols if symbol in kept)
        self._series = {s: state for s, state in self._series.items() if s.symbol in kept}
        return [CatalogueChanged()]

    # -- reading ---------------------------------------------------------------------------

    def revision_of(self, series: Series) -> int | None:
        """Grows with every change of a series; None when there is no such series.

        The only thing that others may read here without asking the actor: it says whether an
        answer that they keep still holds.
        """
        state = self._series.get(series)
        return None if state is None else state.revision

    def page(self, series: Series, limit: int, before: int | None) -> Page | PageUnavailable:
        state = self._series.get(series)
        if state is None:
            return (
                PageUnavailable.SYMBOL
                if series.symbol not in self.symbols
                else PageUnavailable.INTERVAL
            )
        return state.page(limit, before)

    def overview(self, now: float) -> Overview:
        mark_lagging(self._series, now)
        time = self._clock.estimate(now)
        return Overview(
            symbols=self.symbols,
            intervals=self.intervals,
            series=tuple(
                state.overview(series, now, time) for series, state in self._series.items()
            ),
            feed=self.feed,
            updated_at=self.updated_at,
            exchange_time=time,
        )

    # -- subscribers -----------------------------------------------------------------------

    def open_subscriptions(self, request: OpenSubscriptions[Any]) -> list[Event]:
        """Attach a subscriber; what has no history yet is attached once it has."""
        now_open, snapshots = [], []
        for wanted in request.wanted:
            state = self._series.get(wanted.series)
            if state is None:
                continue
            if wanted.snapshot is None and wanted.since is None:
                now_open.append(wanted.series)
            elif state.window.is_ready:
                now_open.append(wanted.series)
                snapshots.append(state.snapshot(wanted, self._clock.latest))
            else:
                state.waiting[request.subscriber] = wanted
        return [
            SubscriptionsOpened(
                request.subscriber, request.acknowledgement, tuple(now_open), tuple(snapshots)
            )
        ]

    def close_subscriptions(self, request: CloseSubscriptions[Any]) -> list[Event]:
        series = tuple(self._series) if request.series is None else request.series
        for each in series:
            if (state := self._series.get(each)) is not None:
                state.waiting.pop(request.subscriber, None)
        closed = None if request.series is None else tuple(request.series)
        return [SubscriptionsClosed(request.subscriber, closed, request.acknowledgement)]

    def report_feed(self, status: FeedStatus) -> list[Event]:
        self.feed = status
        return [FeedChanged(status)]
