"""Which series there are, and what those that have gone leave for their return."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet

from ..market.interval import Interval
from ..market.series import Series
from .series_state import Departed, SeriesState
from .series_states import SeriesStates

MAX_DEPARTED = 20_000
"""Series that are remembered after they went; the oldest are forgotten first."""


class SeriesCatalogue:
    def __init__(self, symbols: Sequence[str], intervals: Sequence[Interval]) -> None:
        self.configured = tuple(symbols)
        self.symbols: tuple[str, ...] = ()
        self.intervals: tuple[Interval, ...] = ()
        self.states = SeriesStates({})
        self.awaited: set[Series] = set()
        """Those whose history subscribers wait for, or have waited for."""
        self._departed: dict[Series, Departed] = {}
        self._of_symbol: dict[str, tuple[Series, ...]] = {}
        self.change(symbols, intervals)

    def change(self, symbols: Sequence[str], intervals: Sequence[Interval]) -> bool:
        """Replace the series by these; those that return resume where they ended.

        False if there are no others than before.
        """
        if (tuple(symbols), tuple(intervals)) == (self.symbols, self.intervals):
            return False
        self.symbols, self.intervals = tuple(symbols), tuple(intervals)
        self._of_symbol = {s: tuple(Series(s, i) for i in self.intervals) for s in self.symbols}
        listed = [series for each in self._of_symbol.values() for series in each]
        before, departed = self.states, self._departed
        self.states = SeriesStates({s: before.entry(s) or departed.pop(s, None) for s in listed})
        departed |= {s: left for s, left in before.left() if s not in self.states}
        while len(departed) > MAX_DEPARTED:
            del departed[next(iter(departed))]
        return True

    @property
    def members(self) -> AbstractSet[str]:
        """The symbols, for a look-up."""
        return self._of_symbol.keys()

    def of_symbol(self, symbol: str) -> list[tuple[Series, SeriesState]]:
        """The series of one symbol; none when it is not served."""
        return [(series, self.states[series]) for series in self._of_symbol.get(symbol, ())]

    def restart(self, series: Series) -> None:
        """Forget a series' candles; its subscribers get a whole window once there is one."""
        self.states.restart(series)

    def restart_all(self) -> None:
        """Candles of another exchange follow."""
        for series in self.states:
            self.restart(series)
        self._departed = {series: left.from_start() for series, left in self._departed.items()}

    def forget_waiting(self, subscriber: Hashable, series: Sequence[Series] | None) -> None:
        """`subscriber` no longer waits for these series, or for any when None."""
        for each in tuple(self.awaited) if series is None else series:
            state = self.states.find(each) or self._departed.get(each)
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
