"""The exchange's limit of one request, scaled down: a few series subscribe as hundreds do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from smarttrade.binance import streams
from smarttrade.simulator import subscriptions

MARGIN = 20  # bytes by which the service stays below the limit
URL_NAMES = 60  # characters of stream names in a URL: those of three or four


@contextmanager
def requests_of(size: int) -> Iterator[None]:
    """Within the block, the exchange ignores requests of more than `size` bytes; 0: as in production."""
    if not size:
        yield
        return
    with (
        patch.object(subscriptions, "MAX_REQUEST_SIZE", size),
        patch.object(streams, "MAX_REQUEST_SIZE", size - MARGIN),
        patch.object(streams, "MAX_URL_NAMES", URL_NAMES),
    ):
        yield
