"""One session, as the hub sees it."""

from __future__ import annotations

from dataclasses import dataclass

from ..store.feed import FeedStatus
from .budget import Budget
from .outbox import Outbox


@dataclass(eq=False, slots=True)
class Subscriber:
    outbox: Outbox
    budget: Budget
    """Charged for what is sent on request."""
    legacy: bool = False
    """Whether it uses the legacy single-symbol endpoint: it gets nothing but legacy candles."""
    feed: FeedStatus | None = None
    """What it was sent last of the exchange's stream."""
