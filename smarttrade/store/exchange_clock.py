"""What time the exchange's clock shows, as far as its events tell."""

from __future__ import annotations


class ExchangeClock:
    __slots__ = ("latest", "latest_at")

    def __init__(self) -> None:
        self.latest = 0
        """The latest event time in ms; 0 before the first event."""
        self.latest_at = 0.0
        """The loop's time in seconds when that was told."""

    def estimate(self, now: float) -> int:
        """The latest event time, and what has passed since; 0 before the first event."""
        if not self.latest:
            return 0
        return self.latest + int(1000 * (now - self.latest_at))
