"""Which series share a stream connection: plain code."""

from __future__ import annotations

from collections.abc import Sequence

from ..market.series import Series


def plan_shards(series: Sequence[Series], max_streams: int) -> list[Sequence[Series]]:
    """As few connections as allowed, evenly filled; all intervals of a symbol on one of them.

    So `StallDetector` can compare a series with the others of its symbol.
    """
    by_symbol: dict[str, list[Series]] = {}
    for each in series:
        by_symbol.setdefault(each.symbol, []).append(each)
    widest = max(map(len, by_symbol.values()), default=1)
    symbols_per_shard = max(1, max_streams // widest)
    shards = -(-len(by_symbol) // symbols_per_shard)
    symbols = list(by_symbol.values())
    return [
        [each for symbol in symbols[number::shards] for each in symbol] for number in range(shards)
    ]
