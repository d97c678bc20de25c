"""The state of each configured symbol at the venue: plain code.

    listed, and trades                  trading
    listed, and does not trade          halted
    listed, but its klines are refused  refused, until they are given or it does not trade;
                                        so it is when requests for them alone keep failing
    not listed, but was before          delisted
    not listed, and never was           unknown

Each may follow each. That klines are refused says nothing while a symbol does not trade; when it
trades again, the store asks for them. The store decides what follows for clients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..market.symbol_details import SymbolDetails, SymbolState
from .venue import SymbolStatus

REFUSED_AFTER = 30.0
"""Seconds of failing requests, while the venue answers others, after which it counts as refusing a
symbol's klines. Failures inside of it are usually over by then."""


class SymbolTracker:
    """What is known of each symbol; outlives restarts of the actors that find it out."""

    def __init__(self, configured: Sequence[str]) -> None:
        self.configured = tuple(configured)
        self.details: dict[str, SymbolDetails] = {}
        self._failing_since: dict[str, float] = {}

    @property
    def served(self) -> list[str]:
        """Those that clients may have, in the configured order."""
        return [
            symbol
            for symbol in self.configured
            if self._state(symbol) not in (None, SymbolState.UNKNOWN)
        ]

    @property
    def listed(self) -> list[str]:
        """Those that the venue lists, as far as it was asked."""
        absent = (SymbolState.UNKNOWN, SymbolState.DELISTED)
        return [symbol for symbol in self.configured if self._state(symbol) not in absent]

    @property
    def refused(self) -> list[str]:
        """Those whose klines are refused, in the configured order."""
        return [s for s in self.configured if self._state(s) is SymbolState.REFUSED]

    @property
    def is_all_trading(self) -> bool:
        return all(self._state(symbol) is SymbolState.TRADING for symbol in self.listed)

    def restore(self, details: Mapping[str, SymbolDetails]) -> None:
        """Begin with what an earlier process knew: a symbol that it knew may have been delisted."""
        for symbol in self.configured:
            if symbol in details and symbol not in self.details:
                self.details[symbol] = details[symbol]

    def update(
        self, asked: Sequence[str], found: Mapping[str, SymbolStatus], wall: float
    ) -> list[str]:
        """The venue was asked about some symbols; which are in another state than before."""
        return [symbol for symbol in asked if self._set(symbol, found.get(symbol), wall)]

    def refuse(self, symbol: str, wall: float) -> bool:
        """Its klines were refused; whether that is news."""
        known = self.details.get(symbol)
        if known is None or not known.is_trading:
            return False
        self.details[symbol] = SymbolDetails(
            known.status, known.tick_size, SymbolState.REFUSED, wall
        )
        return True

    def fail(self, symbol: str, now: float, wall: float) -> bool:
        """A request for its klines failed, and not for others; whether it counts as refused now.

        `now` is the loop's time, in seconds.
        """
        since = self._failing_since.setdefault(symbol, now)
        return now >= since + REFUSED_AFTER and self.refuse(symbol, wall)

    def accept(self, symbol: str, wall: float) -> bool:
        """Its klines were given; whether that is news."""
        self._failing_since.pop(symbol, None)
        known = self.details.get(symbol)
        if known is None or known.state is not SymbolState.REFUSED:
            return False
        self.details[symbol] = SymbolDetails(
            known.status, known.tick_size, SymbolState.TRADING, wall
        )
        return True

    def _state(self, symbol: str) -> SymbolState | None:
        known = self.details.get(symbol)
        return None if known is None else known.state

    def _set(self, symbol: str, found: SymbolStatus | None, wall: float) -> bool:
        before = self.details.get(symbol)
        state = self._next_state(symbol, found)
        if found is None or not found.is_trading:
            self._failing_since.pop(symbol, None)
        status = found.name if found is not None else None
        known = found or before
        tick_size = None if known is None else known.tick_size
        is_news = before is None or before.state is not state
        since = wall if before is None or is_news else before.since
        self.details[symbol] = SymbolDetails(status, tick_size, state, since)
        return is_news

    def _next_state(self, symbol: str, found: SymbolStatus | None) -> SymbolState:
        before = self._state(symbol)
        if found is None:
            was_listed = before not in (None, SymbolState.UNKNOWN)
            return SymbolState.DELISTED if was_listed else SymbolState.UNKNOWN
        if not found.is_trading:
            return SymbolState.HALTED
        return SymbolState.REFUSED if before is SymbolState.REFUSED else SymbolState.TRADING
