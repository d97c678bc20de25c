"""How often connections may be attempted: plain code. Times are in seconds."""

from __future__ import annotations

from collections import deque


class AttemptBudget:
    """Stream connection attempts, shared by all connections: `ceiling` in any `period`."""

    def __init__(self, ceiling: int, period: float) -> None:
        self.ceiling = ceiling
        self.period = period
        self._attempts: deque[float] = deque(maxlen=ceiling)

    def reserve(self, now: float) -> float:
        """Take one attempt and return 0, or take none and return the seconds to wait."""
        if len(self._attempts) == self.ceiling:
            wait = self._attempts[0] + self.period - now
            if wait > 0:
                return wait
        self._attempts.append(now)
        return 0.0
