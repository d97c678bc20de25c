"""What the exchange's listing says of one symbol."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum


class SymbolState(Enum):
    """What the exchange does with a symbol. All but `TRADING` may end at any time."""

    TRADING = "trading"
    HALTED = "halted"
    """Listed, but not traded now: it is served with its history."""
    DELISTED = "delisted"
    """No longer listed: what is known of it is still served."""
    REFUSED = "refused"
    """Listed, but the exchange does not give its candles."""
    UNKNOWN = "unknown"
    """Not listed: it is left out until it is."""


_REASONS = {
    SymbolState.HALTED: "the exchange has halted it",
    SymbolState.DELISTED: "the exchange no longer lists it",
    SymbolState.REFUSED: "the exchange refuses its candles",
    SymbolState.UNKNOWN: "the exchange does not list it",
}


@dataclass(frozen=True, slots=True)
class SymbolDetails:
    """None is for what is not known yet."""

    status: str | None = None
    """As the exchange names it: `TRADING`, `HALT`, `BREAK`."""

    tick_size: Decimal | None = None
    """The smallest step of a price."""

    state: SymbolState = SymbolState.TRADING
    """What follows from that. A symbol that was not asked about counts as trading."""

    since: float = 0.0
    """When that state was found out: seconds since the epoch, by the wall clock."""

    @property
    def is_trading(self) -> bool:
        return self.state is SymbolState.TRADING

    @property
    def reason(self) -> str | None:
        """Why it is not live, in words; None while it trades."""
        reason = _REASONS.get(self.state)
        if reason is not None and self.state is SymbolState.HALTED and self.status:
            return f"{reason} ({self.status})"
        return reason

    @property
    def decimals(self) -> int | None:
        """Digits after the point that prices have."""
        if self.tick_size is None:
            return None
        exponent = self.tick_size.normalize().as_tuple().exponent
        assert isinstance(exponent, int)  # not an infinity
        return max(0, -exponent)
