"""The exchange's cadence, thinned: fewer pushes, and everything else as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from smarttrade.market.interval import SECOND
from smarttrade.simulator import push_schedule, stream_events


@contextmanager
def pushes_every(seconds: int) -> Iterator[None]:
    """Within the block, series push so often; 2 is what the exchange documents."""
    with (
        patch.object(push_schedule, "PUSH_INTERVAL", seconds * SECOND),
        patch.object(stream_events, "PUSH_INTERVAL", seconds * SECOND),
    ):
        yield
