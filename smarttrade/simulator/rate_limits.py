"""How much an address may ask for, and what happens to one that asks for more.

All times are Trio seconds. Sources: binance-spot-api-docs, rest-api.md, "IP Limits";
web-socket-streams.md, "WebSocket Limits".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil

WEIGHT_PER_MINUTE = 6000
MINUTE = 60.0
MAX_IGNORED = 10  # requests over the budget that get 429 before the address is banned
MIN_BAN, MAX_BAN = 120.0, 3 * 86400.0  # "from 2 minutes to 3 days"

ATTEMPTS, ATTEMPTS_PERIOD = 300, 300.0
MESSAGES, MESSAGES_PERIOD = 5, 1.0
PENALTY = 120.0
"""Seconds without new streams after too many messages. Source: nautilus_trader, issue 5012."""


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    """429, or 418 for one that did not back off."""

    retry_after: int
    """Seconds."""


class AddressBudget:
    """Of one address: so much weight a minute, counted by whole minutes."""

    def __init__(self, limit: int = WEIGHT_PER_MINUTE) -> None:
        self._limit = limit
        self._minute = -1
        self.used = 0
        self._ignored = 0
        self._banned_until = 0.0
        self._next_ban = MIN_BAN

    @property
    def was_banned(self) -> bool:
        return self._banned_until > 0

    def spend(self, weight: int, now: float, others: int = 0) -> Refusal | None:
        """Count a request; whether it is refused. `others` have used so much of the minute."""
        if now < self._banned_until:
            return Refusal(418, ceil(self._banned_until - now))
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self.used, self._ignored = minute, 0, 0
        self.used += weight
        if self.used + others <= self._limit:
            return None
        self._ignored += 1
        if self._ignored <= MAX_IGNORED:
            return Refusal(429, ceil((minute + 1) * MINUTE - now) or 1)
        self._banned_until = now + self._next_ban
        ban, self._next_ban = self._next_ban, min(2 * self._next_ban, MAX_BAN)
        return Refusal(418, ceil(ban))


class RollingLimit:
    """At most so many of something within so many seconds."""

    def __init__(self, number: int, period: float) -> None:
        self._times: deque[float] = deque(maxlen=number)
        self._period = period

    def admits(self, now: float) -> bool:
        """Count one; False when it is one too many, which is not counted."""
        full = len(self._times) == self._times.maxlen
        if full and now - self._times[0] < self._period:
            return False
        self._times.append(now)
        return True


class Firewall:
    """Blocks addresses, longer with every request that they send meanwhile."""

    def __init__(self) -> None:
        self._blocked_until: dict[str, float] = {}

    def blocks(self, peer: str, now: float, seconds: float) -> bool:
        """Whether a request is blocked; the first one of an address always is."""
        if now >= self._blocked_until.get(peer, now + 1):
            return False
        self._blocked_until[peer] = now + seconds
        return True

    def clear(self) -> None:
        self._blocked_until.clear()


class RateLimits:
    """What every address has used."""

    def __init__(self, weight_limit: int = WEIGHT_PER_MINUTE) -> None:
        self.weight_limit = weight_limit
        self.firewall = Firewall()
        self._weights: dict[str, AddressBudget] = {}
        self._attempts: dict[str, RollingLimit] = {}
        self._penalties: dict[str, float] = {}

    def weight(self, peer: str) -> AddressBudget:
        return self._weights.setdefault(peer, AddressBudget(self.weight_limit))

    def used_weights(self) -> dict[str, int]:
        """By address: the weight used in the last minute in which it asked for anything."""
        return {peer: budget.used for peer, budget in self._weights.items()}

    def banned(self) -> list[str]:
        """The addresses that were ever banned."""
        return [peer for peer, budget in self._weights.items() if budget.was_banned]

    def attempt(self, peer: str, now: float) -> Refusal | None:
        """Count an attempt to open a stream; whether it is refused."""
        if (left := self._penalties.get(peer, 0.0) - now) > 0:
            return Refusal(429, ceil(left))
        attempts = self._attempts.setdefault(peer, RollingLimit(ATTEMPTS, ATTEMPTS_PERIOD))
        return None if attempts.admits(now) else Refusal(429, int(ATTEMPTS_PERIOD))

    def penalize(self, peer: str, now: float) -> None:
        """A stream of this address has sent too many messages."""
        self._penalties[peer] = now + PENALTY
