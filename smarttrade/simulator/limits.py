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
PATIENCE = 10  # requests over the budget that are told 429 before the address is banned
SHORTEST_BAN, LONGEST_BAN = 120.0, 3 * 86400.0  # "from 2 minutes to 3 days"

ATTEMPTS, ATTEMPTS_TIMEOUT = 300, 300.0
MESSAGES, MESSAGES_TIMEOUT = 5, 1.0


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    """429, or 418 for one that did not listen."""

    retry_after: int
    """Seconds."""


class WeightBudget:
    """Of one address: so much weight a minute, counted by whole minutes."""

    def __init__(self, limit: int = WEIGHT_PER_MINUTE) -> None:
        self._limit = limit
        self._minute = -1
        self.used = 0
        self._ignored = 0
        self._banned_until = 0.0
        self._next_ban = SHORTEST_BAN

    def spend(self, weight: int, now: float) -> Refusal | None:
        """Count a request; whether it is refused."""
        if now < self._banned_until:
            return Refusal(418, ceil(self._banned_until - now))
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self.used, self._ignored = minute, 0, 0
        self.used += weight
        if self.used <= self._limit:
            return None
        self._ignored += 1
        if self._ignored <= PATIENCE:
            return Refusal(429, ceil((minute + 1) * MINUTE - now) or 1)
        self._banned_until = now + self._next_ban
        ban, self._next_ban = self._next_ban, min(2 * self._next_ban, LONGEST_BAN)
        return Refusal(418, ceil(ban))


class Rate:
    """At most so many of something within so many seconds."""

    def __init__(self, number: int, within: float) -> None:
        self._times: deque[float] = deque(maxlen=number)
        self._within = within

    def admits(self, now: float) -> bool:
        """Count one; False when it is one too many, which is not counted."""
        full = len(self._times) == self._times.maxlen
        if full and now - self._times[0] < self._within:
            return False
        self._times.append(now)
        return True


class Limits:
    """What every address has used."""

    def __init__(self) -> None:
        self._weights: dict[str, WeightBudget] = {}
        self._attempts: dict[str, Rate] = {}

    def weight(self, peer: str) -> WeightBudget:
        return self._weights.setdefault(peer, WeightBudget())

    def used_weights(self) -> dict[str, int]:
        """By address: the weight used in the last minute in which it asked for anything."""
        return {peer: budget.used for peer, budget in self._weights.items()}

    def attempts(self, peer: str) -> Rate:
        """To open a stream connection."""
        return self._attempts.setdefault(peer, Rate(ATTEMPTS, ATTEMPTS_TIMEOUT))
