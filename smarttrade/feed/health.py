"""The state of the feed, derived from its connections: plain code."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..store.feed import Feed

STALE_AFTER = 10.0
"""Seconds without any candle after which a connected feed is stale: five times the interval of 2 s
in which the exchange sends updates."""


@dataclass(slots=True)
class FeedHealth:
    """Which shards are connected, and when the last candle arrived."""

    shards: int
    """How many there are."""
    connected: set[int] = field(default_factory=set)
    """The numbers of those with an open connection."""
    received_at: float = float("-inf")
    """When the last candle arrived, in seconds of the loop's time."""

    def feed(self, now: float) -> Feed:
        if not self.connected:
            return Feed.DOWN
        if len(self.connected) < self.shards or now > self.received_at + STALE_AFTER:
            return Feed.STALE
        return Feed.LIVE
