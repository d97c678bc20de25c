"""A token bucket: how often something may happen."""

from __future__ import annotations


class TokenBucket:
    """Allows `burst` at once, and `rate` a second after that."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_at")

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._updated_at: float | None = None

    def take(self, now: float, cost: float = 1) -> bool:
        """Whether `cost` tokens are there at `now`, in seconds of any steady clock; takes them."""
        if self._updated_at is not None:
            earned = (now - self._updated_at) * self._rate
            self._tokens = min(self._burst, self._tokens + earned)
        self._updated_at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True
