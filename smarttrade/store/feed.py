"""How the exchange's stream is doing."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


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
