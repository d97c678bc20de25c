"""How much may be asked of an exchange, and when: plain code. Times are in seconds."""

from __future__ import annotations

from collections import deque


class WeightBudget:
    """Request weight, shared by everything that asks the exchange over REST.

    The exchange tells in every answer what this address has used in its current minute, other
    programs included; what that answer may not have counted yet is added. Nobody tells when its
    minute begins, so what was counted is forgotten a whole minute after the last answer. Thus
    `used` is never below what the exchange has counted of us. No request goes out that would lead
    over `ceiling`, nor any before a limit that the exchange imposed is over.
    """

    def __init__(self, ceiling: int, period: float = 60.0) -> None:
        self.ceiling = ceiling
        self.period = period
        self.used = 0
        """In the exchange's current minute, at most."""
        self.spent = 0
        """Since the beginning, by us."""
        self.returned = 0
        """Of `spent`, what is no longer under way."""
        self.limited = 0
        """How often the exchange told us to stay away."""
        self._counts_until = float("-inf")
        self._blocked_until = float("-inf")

    def reserve(self, weight: int, now: float) -> float:
        """Take `weight` and return 0, or take nothing and return the seconds to wait."""
        if now < self._blocked_until:
            return self._blocked_until - now
        if now >= self._counts_until:
            self.used = self.spent - self.returned
        if self.used + weight > self.ceiling and self.used > 0:
            return self._counts_until - now if now < self._counts_until else self.period
        self.used += weight
        self.spent += weight
        return 0.0

    def answered(self, weight: int, told: int | None, now: float, before: int) -> None:
        """A request of `weight` came back, or was given up.

        `told` is what the exchange says is used, and `before` what had `returned` when the request
        was reserved: what returned since may have been counted after it.
        """
        others_since = self.returned - before
        self.returned += weight
        self._counts_until = now + self.period
        if told is not None:
            self.used = told + self.spent - self.returned + others_since

    def block(self, seconds: float, now: float) -> None:
        """Ask nothing for `seconds`: the exchange said so (429, 418)."""
        self.limited += 1
        self._blocked_until = max(self._blocked_until, now + seconds)


class AttemptBudget:
    """Stream connection attempts, shared by all connections: `ceiling` in any `period`."""

    def __init__(self, ceiling: int, period: float) -> None:
        self.ceiling = ceiling
        self.period = period
        self._attempts: deque[float] = deque(maxlen=ceiling)
        self._blocked_until = float("-inf")

    def reserve(self, now: float) -> float:
        """Take one attempt and return 0, or take none and return the seconds to wait."""
        if now < self._blocked_until:
            return self._blocked_until - now
        if len(self._attempts) == self.ceiling:
            wait = self._attempts[0] + self.period - now
            if wait > 0:
                return wait
        self._attempts.append(now)
        return 0.0

    def block(self, seconds: float, now: float) -> None:
        """Connect nowhere for `seconds`: the exchange said so."""
        self._blocked_until = max(self._blocked_until, now + seconds)
