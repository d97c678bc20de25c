"""What was found of each series when it was looked at last: kept, so that no question visits all.

Plain code. The store looks at every series about once a second; see `MemoryStore.check_overdue`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..market.series import Series
from .freshness import NO_HISTORY


class Readiness:
    """Each mapping has only series that are not as they should be, and why."""

    __slots__ = (
        *("_fine", "_gaps_of", "_known"),
        *("excused", "gaps", "not_loaded", "not_ready", "received_at"),
    )

    def __init__(self) -> None:
        self._known: dict[Series, None] = {}
        self._fine: set[Series] = set()
        """Those that are as they should be, and have no gaps; nothing is noted of them."""
        self._gaps_of: dict[Series, tuple[int, int]] = {}
        self.not_ready: dict[Series, str] = {}
        self.excused: dict[Series, str] = {}
        """Those whose symbol has not traded for so long that they are no reason to be not ready."""
        self.not_loaded: dict[Series, str] = {}
        """Those whose candles cannot be served yet, not even stale ones."""
        self.gaps = {"exchange": 0, "unfilled": 0}
        """Ranges absent inside all windows, by cause."""
        self.received_at: dict[str, float] = {}
        """When the exchange last sent a symbol that trades, by the loop's clock."""

    def have(self, listed: Iterable[Series]) -> None:
        """There are these series and no others; a new one has no history until it is looked at."""
        before, self._known = self._known, dict.fromkeys(listed)
        self._fine &= self._known.keys()
        for gone in self._gaps_of.keys() - self._known.keys():
            self.note(gone, None)
        for reasons in (self.not_ready, self.excused, self.not_loaded):
            for gone in reasons.keys() - self._known.keys():
                del reasons[gone]
        new = [series for series in self._known if series not in before] if before else self._known
        self.not_ready |= dict.fromkeys(new, NO_HISTORY)
        self.not_loaded |= dict.fromkeys(new, NO_HISTORY)
        symbols = {each.symbol for each in self._known}
        self.received_at = {s: at for s, at in self.received_at.items() if s in symbols}

    def note_received(self, symbol: str, at: float | None) -> None:
        """A symbol was looked at; None if the exchange has not sent it, or does not trade it."""
        if at is None:
            self.received_at.pop(symbol, None)
        else:
            self.received_at[symbol] = at

    def note_fine(self, series: Series) -> None:
        """A series was looked at that is ready and complete, as nearly all are."""
        if series not in self._fine:
            self.note(series, None)
            self._fine.add(series)

    def note(
        self,
        series: Series,
        reason: str | None,
        *,
        is_excused: bool = False,
        is_loaded: bool = True,
        gaps: tuple[int, int] = (0, 0),
    ) -> None:
        """A series was looked at. `gaps` are how many there are at the exchange, and unfilled."""
        self._fine.discard(series)
        _set(self.not_ready, series, None if is_excused else reason)
        _set(self.excused, series, reason if is_excused else None)
        _set(self.not_loaded, series, None if is_loaded else reason)
        before = self._gaps_of.get(series, (0, 0))
        if gaps != before:
            self._gaps_of[series] = gaps
            self.gaps["exchange"] += gaps[0] - before[0]
            self.gaps["unfilled"] += gaps[1] - before[1]


def _set(reasons: dict[Series, str], series: Series, reason: str | None) -> None:
    if reason is not None:
        reasons[series] = reason
    elif series in reasons:
        del reasons[series]
