"""What the exchange says of each symbol, and which it has not traded for long: plain code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..market.symbol_details import SymbolDetails

EXCUSED_AFTER = 60.0
"""Seconds after which a series that has no history, of a symbol that does not trade or while others
have theirs, is no reason to call the service not ready."""

_TRADING = SymbolDetails()


class SymbolStates:
    """The details of each symbol; times are in seconds of the loop's clock."""

    __slots__ = ("_not_trading_since", "details")

    def __init__(self) -> None:
        self.details: Mapping[str, SymbolDetails] = {}
        self._not_trading_since: dict[str, float] = {}

    def update(self, details: Mapping[str, SymbolDetails], now: float) -> list[str]:
        """Replace what is known; returns the symbols that are in another state than before."""
        changed = [
            symbol
            for symbol in {**self.details, **details}
            if self.of(symbol).state is not details.get(symbol, _TRADING).state
        ]
        self.details = dict(details)
        self._not_trading_since = {
            symbol: self._not_trading_since.get(symbol, now)
            for symbol, known in details.items()
            if not known.is_trading
        }
        return changed

    def of(self, symbol: str) -> SymbolDetails:
        """One that nothing is known of counts as trading."""
        return self.details.get(symbol, _TRADING)

    def is_excused(self, symbol: str, now: float, *, is_loaded: bool) -> bool:
        """Whether a symbol that does not trade leaves the service ready.

        `is_loaded`: its candles can be served. They are all that there are.
        """
        since = self._not_trading_since.get(symbol)
        return since is not None and (is_loaded or now > since + EXCUSED_AFTER)

    def not_trading(self, symbols: Iterable[str]) -> tuple[tuple[str, SymbolDetails], ...]:
        """Those of `symbols` that the exchange does not trade now."""
        if not self._not_trading_since:
            return ()
        return tuple(
            (symbol, self.of(symbol))
            for symbol in dict.fromkeys(symbols)
            if symbol in self._not_trading_since
        )
