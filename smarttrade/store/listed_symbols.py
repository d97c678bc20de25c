"""Which symbols are served: those that are configured and that the exchange lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..market.interval import Interval
from ..market.symbol_details import SymbolDetails, SymbolState
from .events import CatalogueChanged, Event, SeriesWithdrawn
from .exchange_clock import ExchangeClock
from .messages import Catalogue
from .series_states import SeriesStates
from .windows import Windows


class ListedSymbols(Windows):
    """What the exchange, or the leader, says of the symbols."""

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(
            self.symbols, self.intervals, self._states.details, self._catalogue.members
        )

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
        before, was_listed, self.is_listed = self._series, self.is_listed, True
        changed = self._states.update(details or {}, now)
        listed = [s for s in configured if s in served]
        events = self._change_catalogue(listed, self.intervals, changed)
        returned = [symbol for symbol in changed if self._states.of(symbol).is_trading]
        lacking = [each for symbol in returned for each, _ in self._catalogue.of_symbol(symbol)]
        if was_listed and self._series is not before:
            lacking += [each for each in self._series if each not in before]
        missing = self.find_missing(dict.fromkeys(lacking))
        return [*events, *self._symbol_events(changed, waiting), *missing]

    def adopt_catalogue(
        self,
        symbols: Sequence[str],
        intervals: Sequence[Interval],
        origin: str | None,
        details: Mapping[str, SymbolDetails] | None = None,
        now: float = 0.0,
    ) -> list[Event]:
        """Replace the catalogue by these series, with candles of that exchange only."""
        is_other = origin != self.origin
        if is_other:
            self._catalogue.restart_all()
            self._clock = ExchangeClock()
        self.origin = origin
        waiting = self._catalogue.waiting_by_symbol()
        changed = self._states.update(details or {}, now) if details or is_other else []
        events = self._change_catalogue(symbols, intervals, changed)
        return events + self._symbol_events(changed, waiting)

    def _change_catalogue(
        self, symbols: Sequence[str], intervals: Sequence[Interval], changed: Sequence[str]
    ) -> list[Event]:
        """Of a symbol that is left out now, `SymbolChanged` says so; one event is enough."""
        before = self._series
        left_out = {s for s in changed if self._states.of(s).state is SymbolState.UNKNOWN}
        if not self._catalogue.change(symbols, intervals):
            return [CatalogueChanged()]
        self._readiness.have(self._series)
        withdrawn = _withdrawn(before, self._series)
        return [
            CatalogueChanged(),
            *(each for each in withdrawn if each.series.symbol not in left_out),
        ]


def _withdrawn(before: SeriesStates, after: SeriesStates) -> list[SeriesWithdrawn[Any]]:
    """Of a series that nothing has happened to, there are no subscribers."""
    return [
        SeriesWithdrawn(series, tuple(left.pending_subscriptions))
        for series, left in before.left()
        if series not in after
    ]
