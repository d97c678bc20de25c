"""Every series' window, in memory: the truth from which all reads are answered.

Plain code: each method takes what happened and when, and returns the events to send. The actor
beside it sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..market.candle import Candle
from ..market.change import Change
from ..market.differences import Difference, correct, differences
from ..market.gaps import Missing
from ..market.interval import Interval
from ..market.replica import adopt, follow
from ..market.series import Series
from ..market.settling import SETTLING_TIME, up_to_unsettled
from ..market.stored_window import merge_stored, restore
from ..market.symbol_details import SymbolDetails, SymbolState
from ..market.window import WINDOW_SIZE
from ..market.window_state import Correction, SeriesNotes, WindowState
from .catalogue import SeriesCatalogue
from .counters import StoreCounters
from .events import (
    CandlesMissing,
    CandlesPublished,
    CatalogueChanged,
    Event,
    FeedChanged,
    GapsChanged,
    Published,
    SeriesReturned,
    SeriesWithdrawn,
    SubscriptionsClosed,
    SubscriptionsOpened,
    SymbolChanged,
    WindowReplaced,
)
from .exchange_clock import FUTURE_TOLERANCE, ExchangeClock
from .feed import Feed, FeedStatus
from .lagging_series import mark_lagging
from .messages import (
    Catalogue,
    CloseSubscriptions,
    OpenSubscriptions,
    Overview,
    Page,
    PageUnavailable,
    SeriesOverview,
    SubscriptionSpec,
)
from .readiness import Readiness
from .series_state import SeriesState
from .symbols import SymbolStates

MAX_VISITED = 1000
"""Series that a question about all visits itself: some 5 ms. With more, what the last check found
is answered, which is about a second old."""


class MemoryStore:
    """All windows, and who waits for one that has no history yet."""

    def __init__(
        self,
        symbols: Sequence[str],
        intervals: Sequence[Interval],
        counters: StoreCounters | None = None,
        *,
        origin: str | None = None,
    ) -> None:
        self.counters = counters or StoreCounters()
        self.origin = origin
        """Which exchange the candles are from; None while a follower does not know."""
        self.is_listed = False
        self.feed = FeedStatus(Feed.DOWN, 0.0)
        self.updated_at: float | None = None
        self._catalogue = SeriesCatalogue(symbols, intervals)
        self._states = SymbolStates()
        self._readiness = Readiness()
        self._readiness.have(self._series)
        self._unchecked: list[str] = []
        """Symbols left in this round of `check_overdue`."""
        self._has_unconfirmed = False
        """Whether any series may have stored candles that nothing has followed."""
        self._serving_since: float | None = None
        """When the first series had a history, by the loop's clock."""
        self._clock = ExchangeClock()

    @property
    def _series(self) -> dict[Series, SeriesState]:
        return self._catalogue.states

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._catalogue.symbols

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return self._catalogue.intervals

    # -- the exchange's clock --------------------------------------------------------------

    def learn_time(self, time: int, now: float) -> list[Event]:
        """The exchange's clock shows `time` (ms). What was restored and is later is dropped."""
        was_known = self._clock.latest > 0
        self._clock.learn(time, now)
        return [] if was_known else self._drop_future(now)

    def exchange_time(self, now: float) -> int:
        """What the exchange's clock shows, in ms; 0 while that is unknown."""
        return self._clock.estimate(now)

    def _drop_future(self, now: float) -> list[Event]:
        latest = self._clock.estimate(now) + FUTURE_TOLERANCE
        late = [
            series
            for series, state in self._series.items()
            if state.freshness.unconfirmed_since is not None
            and (newest := state.window.newest) is not None
            and newest.open_time > latest
        ]
        for series in late:
            self._catalogue.restart(series)
        return self.find_missing(late)

    def note_suspend(self, now: float) -> list[Event]:
        """The machine was suspended: nothing here is known to be up to date."""
        self._clock.distrust_late(now)
        self._has_unconfirmed = True
        for state in self._series.values():
            if state.window.is_ready:
                state.freshness.unconfirmed_since = now
        return []

    # -- candles ---------------------------------------------------------------------------

    def put_updates(
        self, updates: Sequence[tuple[Series, Candle]], now: float, wall: float
    ) -> list[Event]:
        """Apply live candles. `now` is the loop's time and `wall` the wall clock, in seconds."""
        published: list[Published] = []
        missing: list[Event] = []
        if not self._clock.latest and (first := max((c.event_time for _, c in updates), default=0)):
            missing += self.learn_time(first, now)
        states, clock = self._series, self._clock
        for series, candle in updates:
            state = states.get(series)
            if state is None:
                continue
            state.freshness.received_at = now
            if candle.event_time > clock.latest:
                clock.learn(candle.event_time, now)
            change = state.window.apply(candle)
            if change.missing is not None:
                missing += self._request(series, state, change.missing, now)
            elif change.updates and clock.is_credible(candle.event_time, now):
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

        Rows that reach the newest candle count as news of the series, as the stream's do. Those
        after one that is not final are left out: it is read once more.
        """
        state = self._series.get(series)
        if state is None:
            return []
        state.requested = None
        state.freshness.unconfirmed_since = None
        window = state.window
        is_extended = state.freshness.is_incomplete and first is None and window.extend(rows)
        state.freshness.note_answer(rows, first, now, self._clock.estimate(now))
        rows = self._up_to_unsettled(state, [self._as_known(row) for row in rows], now)
        if not window.is_ready and state.would_go_back(rows):
            state.freshness.ask_later(now)
            return []
        if not window.is_ready:
            begun = self._take_first_history(series, state, partial(window.merge, rows), now, wall)
            return [*begun, WindowReplaced(series)]
        before = window.newest
        change = window.merge(rows, first)
        events = self._published(series, state, change, wall)
        events += self._request(series, state, change.missing, now)
        if before and window.oldest and before.open_time < window.oldest.open_time:
            events.append(WindowReplaced(series))
        elif is_extended:
            events += self._extended(series, state)
        return events

    def _extended(self, series: Series, state: SeriesState) -> list[Event]:
        """There are older candles than before: subscribers get the whole window."""
        state.bump_revision()
        snapshot = state.snapshot(SubscriptionSpec(series, snapshot=WINDOW_SIZE), 0)
        return [SeriesReturned(snapshot), WindowReplaced(series)]

    def history_refused(self, series: Series, now: float) -> list[Event]:
        """Nothing came of a question: what is still missing is asked for again, ever later."""
        if (state := self._series.get(series)) is not None:
            state.freshness.ask_later(now)
        return []

    def _take_first_history(
        self,
        series: Series,
        state: SeriesState,
        take: Callable[[], Change],
        now: float,
        wall: float,
    ) -> list[Event]:
        """The first history. Subscribers without a snapshot get what is news: live candles.

        Those of a series that returns get a snapshot of all that they missed instead.
        """
        news = state.window.oldest_buffered if state.resume_from is None else None
        change = take()
        self._note_history(now)
        state.is_wanted = False
        state.bump_revision()
        self.updated_at = wall
        events: list[Event] = []
        if news is not None and (live := [c for c in change.updates if c.open_time >= news]):
            events.append(CandlesPublished([Published(series, candle, False) for candle in live]))
        events += state.open_waiting(series, self._clock.latest)
        return events + self._request(series, state, change.missing, now)

    def _note_history(self, now: float) -> None:
        if self._serving_since is None:
            self._serving_since = now

    def differences(self, series: Series, rows: Sequence[Candle]) -> tuple[Difference, ...]:
        """Which closed rows of the exchange's history are not what was published."""
        state = self._series.get(series)
        return () if state is None else differences(state.window, rows)

    def correct(self, series: Series, rows: Iterable[Candle], wall: float) -> list[Event]:
        """Put closed rows of the exchange's history in the place of what differs from them."""
        state = self._series.get(series)
        if state is None:
            return []
        return [
            event
            for row in rows
            for event in self._published(series, state, correct(state.window, row), wall)
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
        return events + self._gap_events(series, state)

    @staticmethod
    def _gap_events(series: Series, state: SeriesState) -> list[Event]:
        if state.gaps_revision == state.window.known_gaps.revision:
            return []
        state.bump_revision()
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

    @staticmethod
    def _up_to_unsettled(
        state: SeriesState, rows: Sequence[Candle], now: float
    ) -> Sequence[Candle]:
        """Leave out the rows after one that is not final, and have that one read once more."""
        known = up_to_unsettled(rows, state.window.is_closed)
        if len(known) < len(rows):
            due = rows[-1].open_time + SETTLING_TIME
            state.freshness.settle_later(known[-1].open_time, due, now)
        return known

    def _request(
        self, series: Series, state: SeriesState, missing: Missing | None, now: float
    ) -> list[Event]:
        """Ask for what is missing, once, however many live candles come meanwhile."""
        if missing is None or state.requested == missing:
            return []
        if state.freshness.must_settle(now, self._clock.estimate(now)):
            return []
        state.requested = missing
        self.counters.missing += 1
        return [CandlesMissing(series, missing.first, missing.last, self._clock.latest)]

    # -- copies ----------------------------------------------------------------------------

    def newest_candles(self, series: Series, count: int) -> Sequence[Candle]:
        """The end of a window; none while there is no history."""
        state = self._series.get(series)
        if state is None or not state.window.is_ready:
            return ()
        return state.window.newest_candles(count)

    def state_of(self, series: Series) -> WindowState | None:
        """All that is known of a series; None when that is nothing yet."""
        state = self._series.get(series)
        return None if state is None else state.state(self._clock.latest)

    def restore(
        self,
        windows: Iterable[tuple[Series, WindowState]],
        listed: Iterable[str],
        now: float,
        wall: float,
        details: Mapping[str, SymbolDetails] | None = None,
    ) -> list[Event]:
        """Begin with what was stored, where there is nothing yet; else take what is later."""
        events: list[Event] = []
        for series, stored in windows:
            state = self._series.get(series)
            if state is None or not stored.candles:
                continue
            state.corrections.add(stored.corrections)
            if state.window.is_ready:
                change = merge_stored(state.window, stored)
                events += self._published(series, state, change, wall)
                events += self._request(series, state, change.missing, now)
                continue
            if state.would_go_back(stored.candles):
                continue
            events += self._take_first_history(
                series, state, partial(restore, state.window, stored), now, wall
            )
            state.freshness.unconfirmed_since = now
            self._has_unconfirmed = True
            state.freshness.is_incomplete = len(stored.candles) < WINDOW_SIZE
            known = state.window.state
            if known.candles != stored.candles:
                events.append(WindowReplaced(series))
            elif known.notes[:2] != stored.notes[:2]:
                events.append(GapsChanged(series))
        if not self.is_listed and set(self.symbols) <= set(listed):
            self.is_listed = True  # the exchange is asked again; meanwhile this is most likely
        return events + self._restore_details(details or {}, now)

    def _restore_details(self, details: Mapping[str, SymbolDetails], now: float) -> list[Event]:
        """Begin with what was stored of the symbols, unless the exchange has been asked."""
        configured = self._catalogue.configured
        stored = {symbol: details[symbol] for symbol in configured if symbol in details}
        if self._states.details or not stored:
            return []
        waiting = self._catalogue.waiting_by_symbol()
        changed = self._states.update(stored, now)
        return [CatalogueChanged(), *self._symbol_events(changed, waiting)]

    def correct_as(self, published: Iterable[Published], at: int, wall: float) -> list[Event]:
        """Take corrections that another process made at `at`, in ms of exchange time."""
        events: list[Event] = []
        for series, candle, _ in published:
            if (state := self._series.get(series)) is None:
                continue
            events += self.correct(series, [candle], wall)
            state.corrections.add([Correction(candle.open_time, at)])
        return events

    def adopt_catalogue(
        self,
        symbols: Sequence[str],
        intervals: Sequence[Interval],
        origin: str | None,
        details: Mapping[str, SymbolDetails] | None = None,
        now: float = 0.0,
    ) -> list[Event]:
        """Have these series and no others, with candles of that exchange and of no other."""
        is_other = origin != self.origin
        if is_other:
            self._catalogue.restart_all()
            self._clock = ExchangeClock()
        self.origin = origin
        waiting = self._catalogue.waiting_by_symbol()
        changed = self._states.update(details or {}, now) if details or is_other else []
        events = self._change_catalogue(symbols, intervals, changed)
        return events + self._symbol_events(changed, waiting)

    def adopt(
        self, windows: Iterable[tuple[Series, WindowState]], time: int, now: float, wall: float
    ) -> list[Event]:
        """Become equal to the leader's windows as of `time` (ms); what differs is published."""
        if time:
            self._clock.learn(time, now)
        events: list[Event] = []
        for series, stored in windows:
            state = self._series.get(series)
            if state is None:
                continue
            was_ready = state.window.is_ready
            change = adopt(state.window, stored)
            state.corrections.add(stored.corrections)
            state.freshness.unconfirmed_since = None
            if was_ready:
                events += self._published(series, state, change, wall)
            else:
                self._note_history(now)
                state.is_wanted = False
                state.bump_revision()
                events += state.open_waiting(series, self._clock.latest)
        self.updated_at = wall
        return events

    def follow(
        self,
        published: Iterable[Published],
        notes: Mapping[Series, SeriesNotes],
        time: int,
        now: float,
        wall: float,
    ) -> list[Event]:
        """Apply what the leader has published by `time` (ms); what is known is left out."""
        news: list[Published] = []
        if time:
            self._clock.learn(time, now)
        for series, candle, corrected in published:
            state = self._series.get(series)
            if state is None or not state.window.is_ready:
                continue
            if not corrected:
                state.freshness.received_at = now
            change = follow(state.window, candle, corrected=corrected)
            self._collect(series, state, change, news)
        events: list[Event] = [CandlesPublished(news)] if news else []
        for series, (holes, unfilled, corrections) in notes.items():
            if (state := self._series.get(series)) is not None:
                state.corrections.add(corrections)
                state.window.known_gaps.set(holes, unfilled)
                events += self._gap_events(series, state)
        if self._has_unconfirmed and time and self._clock.is_credible(time, now):
            self._has_unconfirmed = False
            for state in self._series.values():
                state.freshness.unconfirmed_since = None
        self.counters.published += len(news)
        self.updated_at = wall if news else self.updated_at
        return events

    # -- what is missing -------------------------------------------------------------------

    def find_missing(self, wanted: Iterable[Series], *, skip_restored: bool = False) -> list[Event]:
        """What each series lacks from its first unsettled candle up to now."""
        return [
            CandlesMissing(
                series, state.freshness.unsettled(), None, self._clock.latest, state.is_wanted
            )
            for series in wanted
            if (state := self._series.get(series)) is not None
            and not (skip_restored and state.freshness.unconfirmed_since is not None)
        ]

    def check_overdue(self, now: float, wall: float, at_most: int | None = None) -> list[Event]:
        """Ask for what is overdue, and publish what has been buffered for too long.

        Of all series, or of about `at_most`: then the next call goes on where this one ended.
        """
        events: list[Event] = []
        overdue: list[Series] = []
        if not self._unchecked:
            self._unchecked = list(reversed(self.symbols))
        visited = 0
        while self._unchecked and (at_most is None or visited < at_most):
            states = self._catalogue.of_symbol(symbol := self._unchecked.pop())
            visited += len(states)
            time = self._clock.estimate(now)
            for series, state in states:
                if state.freshness.has_buffered_too_long(now):
                    events += self._published(series, state, state.window.release(), wall)
                if state.freshness.is_due(now, time) and self._is_worth_asking(series, state, now):
                    overdue.append(series)
            self._look_at(symbol, states, now, time)
        return events + self.find_missing(overdue)

    @property
    def is_check_done(self) -> bool:
        """Whether the next `check_overdue` begins with the first symbol."""
        return not self._unchecked

    def _look_at(
        self, symbol: str, states: Sequence[tuple[Series, SeriesState]], now: float, time: int
    ) -> None:
        """Note which series of a symbol are ready."""
        mark_lagging((state for _, state in states), now)
        not_trading = self._states.of(symbol).reason
        for series, state in states:
            is_loaded = state.window.is_ready
            self._readiness.note(
                series,
                not_trading or state.freshness.not_ready_reason(now, time),
                is_excused=self._states.is_excused(symbol, now, is_loaded=is_loaded),
                is_loaded=is_loaded,
                gaps=state.count_gaps(),
            )

    def _is_worth_asking(self, series: Series, state: SeriesState, now: float) -> bool:
        """History of a symbol that does not trade grows no further, once it has been read."""
        is_read = state.window.is_ready and not state.freshness.is_settling(now)
        return self._states.of(series.symbol).is_trading or not is_read

    # -- catalogue -------------------------------------------------------------------------

    @property
    def listed(self) -> tuple[Series, ...]:
        return tuple(self._series)

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.symbols, self.intervals, self._states.details)

    def list_symbols(
        self,
        symbols: Iterable[str],
        details: Mapping[str, SymbolDetails] | None = None,
        now: float = 0.0,
    ) -> list[Event]:
        """Serve `symbols` of those that are configured; the others wait until they are listed.

        What a symbol that trades again may have missed is asked for.
        """
        served, configured = set(symbols), self._catalogue.configured
        waiting = self._catalogue.waiting_by_symbol()
        before, was_listed, self.is_listed = set(self._series), self.is_listed, True
        changed = self._states.update(details or {}, now)
        listed = [s for s in configured if s in served]
        events = self._change_catalogue(listed, self.intervals, changed)
        returned = {symbol for symbol in changed if self._states.of(symbol).is_trading}
        return [
            *events,
            *self._symbol_events(changed, waiting),
            *self.find_missing(
                series
                for series in self._series
                if series.symbol in returned or (was_listed and series not in before)
            ),
        ]

    def _symbol_events(
        self, changed: Iterable[str], waiting: Mapping[str, tuple[Any, ...]]
    ) -> list[Event]:
        return [
            SymbolChanged(symbol, self._states.of(symbol), waiting.get(symbol, ()))
            for symbol in changed
        ]

    def _change_catalogue(
        self, symbols: Sequence[str], intervals: Sequence[Interval], changed: Sequence[str]
    ) -> list[Event]:
        """Of a symbol that is left out now, `SymbolChanged` says so; one event is enough."""
        before = self._series
        left_out = {s for s in changed if self._states.of(s).state is SymbolState.UNKNOWN}
        self._catalogue.change(symbols, intervals)
        self._readiness.have(self._series)
        withdrawn = _withdrawn(before, self._series)
        return [
            CatalogueChanged(),
            *(each for each in withdrawn if each.series.symbol not in left_out),
        ]

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
        time = self._clock.estimate(now)
        if len(self._series) <= MAX_VISITED:
            for symbol in self.symbols:
                self._look_at(symbol, self._catalogue.of_symbol(symbol), now, time)
        found = self._readiness
        return Overview(
            symbols=self.symbols,
            intervals=self.intervals,
            feed=self.feed,
            updated_at=self.updated_at,
            origin=self.origin,
            exchange_time=time,
            details=self._states.details,
            serving_for=0.0 if self._serving_since is None else now - self._serving_since,
            not_ready=dict(found.not_ready),
            excused=dict(found.excused),
            not_loaded=dict(found.not_loaded),
            gaps=dict(found.gaps),
        )

    def symbol_overviews(self, symbols: Iterable[str], now: float) -> tuple[SeriesOverview, ...]:
        """Each series of these symbols."""
        time = self._clock.estimate(now)
        found: list[SeriesOverview] = []
        for symbol in symbols:
            states = self._catalogue.of_symbol(symbol)
            self._look_at(symbol, states, now, time)
            seen = [state.overview(series, now, time) for series, state in states]
            reason = self._states.of(symbol).reason
            if reason is not None:
                excused = partial(self._states.is_excused, symbol, now)
                seen = [
                    replace(
                        each,
                        not_ready_reason=reason,
                        is_excused=excused(is_loaded=each.is_loaded),
                    )
                    for each in seen
                ]
            found += seen
        return tuple(found)

    def want_history(self, series: Series) -> list[Event]:
        """A client asks for a series that has no history yet: it is to be read before others.

        Once is enough, and what the exchange has refused waits for its time.
        """
        state = self._series.get(series)
        if state is None or state.window.is_ready or state.is_wanted:
            return []
        state.is_wanted = True
        return [] if state.freshness.asks_later else self.find_missing([series])

    # -- subscribers -----------------------------------------------------------------------

    def open_subscriptions(self, request: OpenSubscriptions[Any]) -> list[Event]:
        """Attach a subscriber; what has no history yet is attached once it has."""
        now_open, snapshots = [], []
        missing: list[Event] = []
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
                missing += self.want_history(wanted.series)
                state.pending_subscriptions[request.subscriber] = wanted
                self._catalogue.awaited.add(wanted.series)
        opened = SubscriptionsOpened(
            request.subscriber,
            request.acknowledgement,
            tuple(now_open),
            tuple(snapshots),
            self._states.not_trading(wanted.series.symbol for wanted in request.wanted),
            request.reply,
        )
        return [opened, *missing]

    def close_subscriptions(self, request: CloseSubscriptions[Any]) -> list[Event]:
        self._catalogue.forget_waiting(request.subscriber, request.series)
        closed = None if request.series is None else tuple(request.series)
        return [SubscriptionsClosed(request.subscriber, closed, request.acknowledgement)]

    def report_feed(self, status: FeedStatus) -> list[Event]:
        self.feed = status
        return [FeedChanged(status)]


def _withdrawn(
    before: Mapping[Series, SeriesState], after: Mapping[Series, SeriesState]
) -> list[SeriesWithdrawn[Any]]:
    return [
        SeriesWithdrawn(series, tuple(state.pending_subscriptions))
        for series, state in before.items()
        if series not in after
    ]
