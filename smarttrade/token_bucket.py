"""A token bucket: how often something may happen."""

from __future__ import annotations


class TokenBucket:
    """Allows `burst` at once, and `rate` a second after that.

    `now` is in seconds of any steady clock.
    """

    __slots__ = ("__weakref__", "_burst", "_rate", "_tokens", "_updated_at")

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._updated_at: float | None = None

    def take(self, now: float, cost: float = 1) -> bool:
        """Whether `cost` tokens are there, or all that there can be; takes them."""
        self._refill(now)
        if self._tokens < min(cost, self._burst):
            return False
        self._tokens -= cost
        return True

    def debit(self, cost: float) -> None:
        """Take tokens for what has been done already; there may be fewer than none afterwards."""
        self._tokens -= cost

    def debt(self, now: float) -> float:
        """Seconds until there are no fewer than none."""
        self._refill(now)
        return max(0.0, -self._tokens / self._rate)

    def _refill(self, now: float) -> None:
        if self._updated_at is not None:
            earned = (now - self._updated_at) * self._rate
            self._tokens = min(self._burst, self._tokens + earned)
        self._updated_at = now
