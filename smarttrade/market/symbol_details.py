"""What the exchange's listing says of one symbol."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class SymbolDetails:
    """None is for what is not known yet."""

    status: str | None = None
    """As the exchange names it: `TRADING`, `HALT`, `BREAK`."""

    tick_size: Decimal | None = None
    """The smallest step of a price."""

    @property
    def decimals(self) -> int | None:
        """Digits after the point that prices have."""
        if self.tick_size is None:
            return None
        exponent = self.tick_size.normalize().as_tuple().exponent
        assert isinstance(exponent, int)  # not an infinity
        return max(0, -exponent)
