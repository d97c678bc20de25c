"""Every series' window, the exchange's clock, and what a change of a window causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..market.candle import Candle
from ..market.change import Change
from ..market.differences import correct
from ..market.gaps import Missing
from ..market.interval import Interval
from ..market.series import Series
from .catalogue import SeriesCatalogue
from .counters import StoreCounters
from .events import CandlesMissing, CandlesPublished, Event, GapsChanged, Published, SymbolChanged
from .exchange_clock import FUTURE_TOLERANCE, ExchangeClock
from .feed import FeedReport, FeedStatus
from .readiness import Readiness
from .series_state import SeriesState
from .series_states import SeriesStates
from .symbols import SymbolStates


class Windows:
    """What the parts of the store share."""

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
        self.feeds = FeedReport()
        self.updated_at: float | None = None
        self._received_at: float | None = None
        """When the exchange last sent any series, by the loop's clock."""
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
    def _series(self) -> SeriesStates:
        return self._catalogue.states

    @property
    def feed(self) -> FeedStatus:
        """How the exchange's stream is doing, for all series."""
        return self.feeds.of_all

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._catalogue.symbols

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return self._catalogue.intervals

    @property
    def listed(self) -> tuple[Series, ...]:
        return tuple(self._series)

    # -- the exchange's clock ------------------------------------------------------------

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
            for series, state in self._series.touched()
            if state.freshness.unconfirmed_since is not None
            and (newest := state.window.newest) is not None
            and newest.open_time > latest
        ]
        for series in late:
            self._catalogue.restart(series)
        return self.find_missing(late)

    # -- what is missing -----------------------------------------------------------------

    def find_missing(self, wanted: Iterable[Series], *, skip_restored: bool = False) -> list[Event]:
        """What each series lacks from its first unsettled candle up to now."""
        return [
            CandlesMissing(
                series, state.freshness.unsettled(), None, self._clock.latest, state.is_wanted
            )
            for series in wanted
            if (state := self._series.find(series)) is not None
            and not (skip_restored and state.freshness.unconfirmed_since is not None)
        ]

    def _request(
        self, series: Series, state: SeriesState, missing: Missing | None, now: float
    ) -> list[Event]:
        """Ask for what is missing, once, however many live candles come meanwhile."""
        if missing is None or state.requested == missing:
            return []
        if state.freshness.settling.must_wait(now, self._clock.estimate(now)):
            return []
        state.requested = missing
        self.counters.missing += 1
        return [CandlesMissing(series, missing.first, missing.last, self._clock.latest)]

    # -- what has changed ----------------------------------------------------------------

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
        if news is not None and (live := state.window.since(news)):
            events.append(CandlesPublished([Published(series, candle, False) for candle in live]))
        events += state.open_waiting(series, self._clock.latest)
        return events + self._request(series, state, change.missing, now)

    def _note_history(self, now: float) -> None:
        if self._serving_since is None:
            self._serving_since = now

    def correct(self, series: Series, rows: Iterable[Candle], wall: float) -> list[Event]:
        """Put closed rows of the exchange's history in the place of what differs from them."""
        state = self._series.find(series)
        if state is None:
            return []
        return [
            event
            for row in rows
            for event in self._published(series, state, correct(state.window, row), wall)
        ]

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

    def _symbol_events(
        self, changed: Iterable[str], waiting: Mapping[str, tuple[Any, ...]]
    ) -> list[Event]:
        return [
            SymbolChanged(symbol, self._states.of(symbol), waiting.get(symbol, ()))
            for symbol in changed
        ]
