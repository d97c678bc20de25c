"""How much may be asked of a venue over REST, by whom, and when: plain code.

A venue allows an address so much weight a minute. Two things bound what goes out:

* What this process has used in the last minute stays within `ceiling`, half of what the venue
  allows unless set: other programs at this address can work too.
* What the venue has counted for the address in its current minute, other programs included, stays
  within nine tenths of what it allows. When others use all of that, a twentieth is asked for all
  the same: the venue's limit itself is still not reached then. And one request now and then shows
  when its minute has ended, so that a program that comes late gets as much of the next one.

Within that, each purpose is guaranteed a share, and may use what is left. So the start, which could
use everything for minutes, leaves room for a gap that is found meanwhile, and the audit goes on in
a busy hour. Times are in seconds.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

PERIOD = 60.0  # seconds in which a venue counts, unless it says otherwise
MAX_COUNTED_SHARE = 0.9  # of what the venue allows, that all programs of this address may use
MIN_OWN_SHARE = 0.05  # of what the venue allows, that is asked for although others use too much

PROBES_PER_PERIOD = 20
"""Requests at most, evenly spread, while others have used the venue's minute up."""

IN_FLIGHT_RECHECK = 1.0  # seconds until another look, while only requests under way are in the way


class Purpose(Enum):
    """What a request is for."""

    START = "start"
    """First history of a series."""
    GAP = "gap"
    """What was missed since."""
    CHECK = "check"
    """Whether a symbol trades, and whether a silent stream withholds something."""
    AUDIT = "audit"


SHARES = {Purpose.START: 0.2, Purpose.GAP: 0.1, Purpose.CHECK: 0.1, Purpose.AUDIT: 0.1}
"""Of the ceiling, guaranteed to a purpose. The rest goes to the request that comes first."""


class WeightBudget:
    """Of one address; shared by everything that asks.

    A venue reports in every answer what the address has used in its current minute; what that
    answer may not have counted yet is added. Its minute begins at a time that is not reported, so
    what was counted is forgotten a whole minute after the last answer, and what this process has
    used a whole minute after its answer. So neither is ever below the truth.
    """

    def __init__(self, allowed: int, ceiling: int | None = None, *, period: float = PERIOD) -> None:
        self.allowed = allowed
        """Weight in `period` that the venue allows an address."""
        self._period = period
        self._set_ceiling = ceiling
        self.used = 0
        """Of the address, in the venue's current minute, at most."""
        self.spent = 0
        """Since the beginning, by this process."""
        self.returned = 0
        """Of `spent`, what is no longer under way."""
        self.others = 0
        """Weight that other programs of this address have used in the minute of the last answer,
        at least."""
        self._counts_until = float("-inf")
        self._probe_at = float("-inf")
        self._recent: deque[tuple[float, Purpose, int]] = deque()
        self._own = dict.fromkeys(Purpose, 0)

    @property
    def ceiling(self) -> int:
        """Weight a minute that this process may use."""
        half = self.allowed // 2
        return half if self._set_ceiling is None else min(self._set_ceiling, self.allowed)

    @property
    def is_crowded(self) -> bool:
        """Whether others leave less than what the start, gaps and the audit are guaranteed."""
        needed = self.ceiling * sum(SHARES[each] for each in Purpose if each is not Purpose.CHECK)
        return MAX_COUNTED_SHARE * self.allowed - self.others < needed

    @property
    def own(self) -> int:
        """Weight of this process, under way and of the last minute."""
        return sum(self._own.values())

    def reserve(self, weight: int, purpose: Purpose, now: float) -> float:
        """Take `weight` and return 0, or take nothing and return the seconds to wait."""
        self._forget(now)
        if self.own and weight > self._room(purpose) and not self._may_probe(weight, purpose, now):
            return self._wait(weight, purpose, now)
        self._probe_at = now + self._period / PROBES_PER_PERIOD
        self.used += weight
        self.spent += weight
        self._own[purpose] += weight
        return 0.0

    def interval(self, weight: int, purpose: Purpose) -> float:
        """Seconds between two requests of `weight` by which a purpose uses its own share."""
        return weight * self._period / (SHARES[purpose] * self.ceiling)

    def release(self, weight: int, purpose: Purpose) -> None:
        """Give back what was reserved: nothing was sent."""
        self.used -= weight
        self.spent -= weight
        self._own[purpose] -= weight

    def answered(
        self, weight: int, purpose: Purpose, counted: int | None, now: float, before: int
    ) -> None:
        """A request of `weight` came back, or was given up.

        `counted` is what the venue says is used, and `before` what had `returned` when the request
        was reserved: what returned since may have been counted after it.
        """
        others_since = self.returned - before
        self.returned += weight
        self._recent.append((now, purpose, weight))
        self._counts_until = now + self._period
        if counted is not None:
            self.used = counted + self.spent - self.returned + others_since
            self.others = max(0, counted - self.own)

    def _forget(self, now: float) -> None:
        if now >= self._counts_until:
            self.used = self.spent - self.returned
            self.others = 0
        while self._recent and now >= self._recent[0][0] + self._period:
            _, purpose, weight = self._recent.popleft()
            self._own[purpose] -= weight

    def _room(self, purpose: Purpose) -> float:
        """Weight that may be reserved now for `purpose`."""
        own = self.own
        counted = max(
            MAX_COUNTED_SHARE * self.allowed - self.used, MIN_OWN_SHARE * self.allowed - own
        )
        return self._room_of(min(self.ceiling, own + counted), purpose)

    def _room_of(self, most: float, purpose: Purpose) -> float:
        sure = sum(
            max(0.0, SHARES[other] * most - used)
            for other, used in self._own.items()
            if other is not purpose
        )
        return most - self.own - sure

    def _is_held_by_others(self, weight: int, purpose: Purpose) -> bool:
        """Whether only their use is in the way."""
        return weight <= self._room_of(self.ceiling, purpose)

    def _may_probe(self, weight: int, purpose: Purpose, now: float) -> bool:
        return now >= self._probe_at and self._is_held_by_others(weight, purpose)

    def _wait(self, weight: int, purpose: Purpose, now: float) -> float:
        """Until something is forgotten, or may be found out."""
        times = [self._recent[0][0] + self._period] if self._recent else []
        if now < self._counts_until:
            times.append(self._counts_until)
        if self._is_held_by_others(weight, purpose):
            times.append(self._probe_at)
        return min(times, default=now + IN_FLIGHT_RECHECK) - now
