"""An estimate of the exchange's clock, from its events."""

from __future__ import annotations


class ExchangeClock:
    __slots__ = ("latest", "latest_at")

    def __init__(self) -> None:
        self.latest = 0
        """The latest event time in ms; 0 before the first event."""
        self.latest_at = 0.0
        """The loop's time in seconds when that arrived."""

    def estimate(self, now: float) -> int:
        """The latest event time, and what has passed since; 0 before the first event."""
        if not self.latest:
            return 0
        return self.latest + int(1000 * (now - self.latest_at))
