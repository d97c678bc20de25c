"""Which series share a stream connection: plain code."""

from __future__ import annotations

from collections.abc import Sequence

from ..market.series import Series


def plan_shards(series: Sequence[Series], max_streams: int) -> list[Sequence[Series]]:
    """As few connections as allowed, evenly filled."""
    connections = -(-len(series) // max_streams)
    return [series[index::connections] for index in range(connections)]
