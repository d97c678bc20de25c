"""How the feed as a whole is doing, judged from its connections: plain code."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..store.feed import Feed

STALE_AFTER = 10.0
"""Seconds without any candle after which a connected feed is called stale: five times the usual
cadence of 2 s."""


@dataclass(slots=True)
class FeedHealth:
    """Which connections are open, and when the last candle came."""

    connections: int
    """How many there should be."""
    connected: set[int] = field(default_factory=set)
    """The numbers of those that are open."""
    heard_at: float = float("-inf")
    """When the last candle came, in seconds of the loop's time."""

    def feed(self, now: float) -> Feed:
        if not self.connected:
            return Feed.DOWN
        if len(self.connected) < self.connections or now > self.heard_at + STALE_AFTER:
            return Feed.STALE
        return Feed.LIVE
