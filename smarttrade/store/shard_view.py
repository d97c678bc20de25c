"""The part of the store that belongs to one shard: what its journal sees."""

from __future__ import annotations

from collections.abc import Sequence

from ..market.candle import Candle
from ..market.series import Series
from ..market.window_state import WindowState
from .memory import MemoryStore
from .redis_format import StoreState
from .shards import Shard


class ShardView:
    def __init__(self, memory: MemoryStore, shard: Shard) -> None:
        self._memory = memory
        self.shard = shard

    @property
    def listed(self) -> tuple[Series, ...]:
        listed = self._memory.listed
        if self.shard.count == 1:
            return listed
        return tuple(each for each in listed if self.shard.has(each.symbol))

    @property
    def state(self) -> StoreState:
        """What is known beside candles."""
        memory, shard = self._memory, self.shard
        symbols = tuple(filter(shard.has, memory.symbols))
        details = {s: known for s, known in memory.catalogue.details.items() if shard.has(s)}
        places = tuple(shard.places[symbol] for symbol in symbols) if shard.places else ()
        return StoreState(symbols, memory.intervals, memory.feed, details, places, shard.populated)

    def state_of(self, series: Series) -> WindowState | None:
        """All that is known of a series; None when that is nothing yet."""
        return self._memory.state_of(series)

    def newest_candles(self, series: Series, count: int) -> Sequence[Candle]:
        """See `MemoryStore`."""
        return self._memory.newest_candles(series, count)

    def exchange_time(self, now: float) -> int:
        """What the exchange's clock shows, in ms; 0 while that is unknown."""
        return self._memory.exchange_time(now)
