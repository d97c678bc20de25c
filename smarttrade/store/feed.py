"""How the exchange's stream is doing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from .shards import shard_of


class Feed(Enum):
    """As clients see it."""

    LIVE = "live"
    STALE = "stale"
    """Connected, but nothing has come for longer than it should."""
    DOWN = "down"


class FeedStatus(NamedTuple):
    feed: Feed
    since: float
    """Wall clock, in seconds since the epoch."""


UNKNOWN_FEED = FeedStatus(Feed.DOWN, 0.0)

_BEST_FIRST = (Feed.LIVE, Feed.STALE, Feed.DOWN)


class FeedReport(NamedTuple):
    """How the exchange's stream is doing, for all series and for some."""

    of_all: FeedStatus = UNKNOWN_FEED
    """The worst of all shards."""
    shards: Sequence[FeedStatus | None] = ()
    """By number, where several are followed that have feeds of their own; None of one that has no
    symbols."""

    def of(self, symbols: Iterable[str]) -> FeedStatus:
        """For these symbols; without any, for all."""
        if not self.shards:
            return self.of_all
        numbers = {shard_of(symbol, len(self.shards)) for symbol in symbols}
        known = [status for number in numbers if (status := self.shards[number]) is not None]
        return worst(known) if known else self.of_all


def worst(statuses: Iterable[FeedStatus]) -> FeedStatus:
    """The one that has lasted longest, of those that are equally bad."""
    return max(statuses, key=lambda each: (_BEST_FIRST.index(each.feed), -each.since))
