"""Which series there are, and what those that have gone leave for their return."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet

from ..market.interval import Interval
from ..market.series import Series
from .series_state import SeriesState

MAX_DEPARTED = 20_000
"""Series that are remembered after they went; the oldest are forgotten first. Each is an empty
window: 2 KB."""


class SeriesCatalogue:
    def __init__(self, symbols: Sequence[str], intervals: Sequence[Interval]) -> None:
        self.configured = tuple(symbols)
        self.symbols: tuple[str, ...] = ()
        self.intervals: tuple[Interval, ...] = ()
        self.states: dict[Series, SeriesState] = {}
        self.awaited: set[Series] = set()
        """Those whose history subscribers wait for, or have waited for."""
        self._departed: dict[Series, SeriesState] = {}
        self._of_symbol: dict[str, tuple[Series, ...]] = {}
        self.change(symbols, intervals)

    def change(self, symbols: Sequence[str], intervals: Sequence[Interval]) -> bool:
        """Replace the series by these; those that return resume where they ended.

        False if there are no others than before: with all series of an exchange, looking at each
        takes 25 ms.
        """
        if (tuple(symbols), tuple(intervals)) == (self.symbols, self.intervals):
            return False
        self.symbols, self.intervals = tuple(symbols), tuple(intervals)
        self._of_symbol = {s: tuple(Series(s, i) for i in self.intervals) for s in self.symbols}
        listed = [series for each in self._of_symbol.values() for series in each]
        before = self.states
        self.states = {series: self._state(series, before) for series in listed}
        for series, state in before.items():
            if series not in self.states:
                self._departed[series] = state.successor(from_start=False)
        while len(self._departed) > MAX_DEPARTED:
            del self._departed[next(iter(self._departed))]
        return True

    def _state(self, series: Series, before: dict[Series, SeriesState]) -> SeriesState:
        known = before.get(series) or self._departed.pop(series, None)
        return known or SeriesState(series.interval)

    @property
    def members(self) -> AbstractSet[str]:
        """The symbols, for a look-up."""
        return self._of_symbol.keys()

    def of_symbol(self, symbol: str) -> list[tuple[Series, SeriesState]]:
        """The series of one symbol; none when it is not served."""
        return [(series, self.states[series]) for series in self._of_symbol.get(symbol, ())]

    def restart(self, series: Series) -> None:
        """Forget a series' candles; its subscribers get a whole window once there is one."""
        self.states[series] = self.states[series].successor(from_start=True)

    def restart_all(self) -> None:
        """Candles of another exchange follow."""
        for series in self.states:
            self.restart(series)
        self._departed = {
            series: state.successor(from_start=True) for series, state in self._departed.items()
        }

    def forget_waiting(self, subscriber: Hashable, series: Sequence[Series] | None) -> None:
        """`subscriber` no longer waits for these series, or for any when None."""
        for each in tuple(self.awaited) if series is None else series:
            state = self.states.get(each) or self._departed.get(each)
            if state is not None:
                state.pending_subscriptions.pop(subscriber, None)
            if state is None or not state.pending_subscriptions:
                self.awaited.discard(each)

    def waiting_by_symbol(self) -> dict[str, tuple[Hashable, ...]]:
        """Subscribers that wait for history of each symbol."""
        waiting: dict[str, dict[Hashable, None]] = {}
        for series in self.awaited & self.states.keys():
            if pending := self.states[series].pending_subscriptions:
                waiting.setdefault(series.symbol, {}).update(dict.fromkeys(pending))
        return {symbol: tuple(found) for symbol, found in waiting.items()}
