"""What the shards of a process have stored about symbols, put together."""

from __future__ import annotations

from collections.abc import Mapping

from ..market.symbol_details import SymbolDetails
from .messages import RestoreWindows
from .redis_format import StoreState


class StoredSymbols:
    """The store takes this once, so it waits for the last of `count` shards."""

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._states: dict[int, StoreState | None] = {}

    def add(self, number: int, state: StoreState | None) -> RestoreWindows | None:
        """What a shard has stored, if anything. Returns what the store should begin with."""
        self._states[number] = state
        if len(self._states) < self._count:
            return None
        known = [each for each in self._states.values() if each is not None]
        details: Mapping[str, SymbolDetails] = {
            symbol: found for state in known for symbol, found in state.details.items()
        }
        return RestoreWindows((), [s for state in known for s in state.symbols], details)
