"""Windows that other processes have stored or published, and what is stored of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from ..market.candle import Candle
from ..market.replica import adopt, follow
from ..market.series import Series
from ..market.stored_window import merge_stored, restore
from ..market.symbol_details import SymbolDetails
from ..market.window import WINDOW_SIZE
from ..market.window_state import Correction, SeriesNotes, WindowState
from .events import (
    CandlesPublished,
    CatalogueChanged,
    Event,
    GapsChanged,
    Published,
    WindowReplaced,
)
from .windows import Windows


class CopiedWindows(Windows):
    """What other processes bring, and what they are given."""

    def state_of(self, series: Series) -> WindowState | None:
        """All that is known of a series; None when that is nothing yet."""
        state = self._series.find(series)
        return None if state is None else state.state(self._clock.latest)

    def newest_candles(self, series: Series, count: int) -> Sequence[Candle]:
        """The end of a window; none while there is no history."""
        state = self._series.find(series)
        if state is None or not state.window.is_ready:
            return ()
        return state.window.newest_candles(count)

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
            state = self._series.find(series)
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
            if (state := self._series.find(series)) is None:
                continue
            events += self.correct(series, [candle], wall)
            state.corrections.add([Correction(candle.open_time, at)])
        return events

    def adopt(
        self, windows: Iterable[tuple[Series, WindowState]], time: int, now: float, wall: float
    ) -> list[Event]:
        """Become equal to the leader's windows as of `time` (ms); what differs is published."""
        if time:
            self._clock.learn(time, now)
        events: list[Event] = []
        for series, stored in windows:
            state = self._series.find(series)
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
            state = self._series.find(series)
            if state is None or not state.window.is_ready:
                continue
            if not corrected:
                state.freshness.received_at = self._received_at = now
            change = follow(state.window, candle, corrected=corrected)
            self._collect(series, state, change, news)
        events: list[Event] = [CandlesPublished(news)] if news else []
        for series, (holes, unfilled, corrections) in notes.items():
            if (state := self._series.find(series)) is not None:
                state.corrections.add(corrections)
                state.window.known_gaps.set(holes, unfilled)
                events += self._gap_events(series, state)
        if self._has_unconfirmed and time and self._clock.is_credible(time, now):
            self._has_unconfirmed = False
            for _, state in self._series.touched():
                state.freshness.unconfirmed_since = None
        self.counters.published += len(news)
        self.updated_at = wall if news else self.updated_at
        return events
