"""Regular checks of every series, and what is answered about all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from ..market.series import Series
from ..market.symbol_details import SymbolState
from .events import Event
from .lagging_series import mark_lagging
from .messages import Overview, SeriesOverview
from .series_state import SeriesState
from .windows import Windows

MAX_VISITED = 1000
"""Series that a question about all visits itself: some 5 ms. With more, what the last check found
is answered, which is about a second old."""


class Checks(Windows):
    """Looks at every series about once a second."""

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
            for series, state in self._look_at(symbol, states, now, time):
                if state.freshness.has_buffered_too_long(now):
                    events += self._published(series, state, state.window.release(), wall)
                    self._note_readiness(series, state, now, time)
                if state.freshness.is_due(now, time) and self._is_worth_asking(series, state, now):
                    overdue.append(series)
        return events + self.find_missing(overdue)

    @property
    def is_check_done(self) -> bool:
        """Whether the next `check_overdue` begins with the first symbol."""
        return not self._unchecked

    def _look_at(
        self, symbol: str, states: Sequence[tuple[Series, SeriesState]], now: float, time: int
    ) -> Sequence[tuple[Series, SeriesState]]:
        """Note which series of a symbol are ready; returns those that may wait for something."""
        mark_lagging([state for _, state in states], now)
        not_trading = self._states.of(symbol).reason
        received = [at for _, state in states if (at := state.freshness.received_at) is not None]
        is_sent = bool(received) and not not_trading
        self._readiness.note_received(symbol, max(received) if is_sent else None)
        others = []
        for series, state in states:
            if state.freshness.is_current(now, time) and not not_trading:
                self._readiness.note_fine(series)
            else:
                self._note_readiness(series, state, now, time)
                others.append((series, state))
        return others

    def _note_readiness(self, series: Series, state: SeriesState, now: float, time: int) -> None:
        is_loaded = state.window.is_ready
        self._readiness.note(
            series,
            self._states.of(series.symbol).reason or state.freshness.not_ready_reason(now, time),
            is_excused=self._states.is_excused(series.symbol, now, is_loaded=is_loaded),
            is_loaded=is_loaded,
            gaps=state.count_gaps(),
        )

    def _is_worth_asking(self, series: Series, state: SeriesState, now: float) -> bool:
        """History of a symbol that does not trade grows no further, once it has been read.

        That of one whose candles are refused may grow; only an answer shows that they are given.
        """
        is_read = state.window.is_ready and not state.freshness.settling.is_waiting(now)
        grows = self._states.of(series.symbol).state in (SymbolState.TRADING, SymbolState.REFUSED)
        return grows or not is_read

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
            age=None if self._received_at is None else now - self._received_at,
            origin=self.origin,
            exchange_time=time,
            details=self._states.details,
            serving_for=0.0 if self._serving_since is None else now - self._serving_since,
            not_ready=dict(found.not_ready),
            excused=dict(found.excused),
            not_loaded=dict(found.not_loaded),
            gaps=dict(found.gaps),
            symbol_ages={symbol: now - at for symbol, at in found.received_at.items()},
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
