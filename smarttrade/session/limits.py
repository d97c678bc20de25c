"""What one session may do, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

FORGIVE_EVERY = 3.0  # seconds for one bad request


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may do."""

    subscriptions: int = 1024
    """Series at the same time; every symbol and interval that is usually configured."""
    message_bytes: int = 64 * 1024
    requests_per_second: float = 10.0
    """Sustained; a page that opens may ask for much more at once, see `burst`."""
    burst: int = 200
    bad_requests: int = 20
    """Tolerated at once; one more every `FORGIVE_EVERY` seconds."""
    idle_within: float = 600.0
    """Seconds without any subscription, after which the session is closed."""


class TokenBucket:
    """Allows `burst` at once and `rate` a second after that."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float, cost: float = 1) -> bool:
        """Whether one more is allowed at `now` seconds; if so, it counts, as `cost` of them."""
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True
