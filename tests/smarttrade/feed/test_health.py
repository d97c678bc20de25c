from __future__ import annotations

import pytest

from smarttrade.feed.health import STALE_AFTER, FeedHealth
from smarttrade.store.feed import Feed


@pytest.mark.parametrize(
    ("connected", "silent_for", "feed"),
    [
        (set(), 0.0, Feed.DOWN),
        (set(), 3600.0, Feed.DOWN),
        ({0}, 0.0, Feed.STALE),
        ({0, 1}, 0.0, Feed.LIVE),
        ({0, 1}, STALE_AFTER, Feed.LIVE),
        ({0, 1}, STALE_AFTER + 0.1, Feed.STALE),
    ],
)
def test_feed(connected: set[int], silent_for: float, feed: Feed) -> None:
    health = FeedHealth(shards=2, connected=connected, received_at=1000.0)
    assert health.feed(1000.0 + silent_for) is feed


def test_feed_is_stale_until_the_first_candle() -> None:
    health = FeedHealth(shards=1)
    assert health.feed(0) is Feed.DOWN
    health.connected.add(0)
    assert health.feed(0) is Feed.STALE
    health.received_at = 0
    assert health.feed(0) is Feed.LIVE
