"""What the hub did since the process started; survives restarts of the actor."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..telemetry.histogram import Histogram


@dataclass(slots=True)
class HubCounters:
    published: int = 0
    """Candle states that the store has published."""
    delivered: int = 0
    """Candle frames posted, one for each client."""
    subscribers: int = 0
    """Sessions now."""
    subscriptions: int = 0
    """Series of all sessions now."""
    delays: Histogram = field(default_factory=Histogram)
    """Seconds from the exchange's event to its being posted to clients, of each candle from
    the stream. Includes the difference between this machine's clock and the exchange's."""
