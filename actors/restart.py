"""Restart rules, as plain functions: no clock, no tasks, no chance.

Source: Erlang/OTP `supervisor` (strategies, restart types, intensity and period). OTP has
no pause between restarts; children that talk to a network need one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Strategy(Enum):
    """Which children a supervisor restarts when one of them fails."""

    ONE_FOR_ONE = "only the one that failed"
    REST_FOR_ONE = "the one that failed, and those started after it"
    ONE_FOR_ALL = "all of them"


class Restart(Enum):
    """Whether a child that has ended is started again."""

    PERMANENT = "always"
    TRANSIENT = "only when it failed"
    TEMPORARY = "never"

    def wanted(self, *, failed: bool) -> bool:
        """Whether a child that ended by itself comes back."""
        return self is Restart.PERMANENT or (self is Restart.TRANSIENT and failed)


def affected(strategy: Strategy, names: Sequence[str], failed: str) -> Sequence[str]:
    """The children to restart when `failed` did, in start order.

    Raises:
        ValueError: `failed` is none of `names`, under `Strategy.REST_FOR_ONE`.
    """
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return [failed]
        case Strategy.REST_FOR_ONE:
            return names[names.index(failed) :]
        case Strategy.ONE_FOR_ALL:
            return names


@dataclass(frozen=True, slots=True)
class RestartBudget:
    """How many failures a supervisor absorbs before it fails itself.

    Budgets multiply up a tree: 3 above 5 lets a leaf start 4 x 6 = 24 times. Keep the
    upper one small.
    """

    restarts: int
    """Most restarts allowed within any window of `within` seconds. 0 allows none."""

    within: float
    """Length of the window, in seconds; both ends belong to it."""

    def spend(self, past: tuple[float, ...], now: float) -> tuple[float, ...] | None:
        """Record a failure at `now`; None when that is one too many.

        `past` is what this returned for the failure before, () at first: the times of
        earlier failures, newest first.
        """
        recent = (now, *(t for t in past if t >= now - self.within))
        return recent if len(recent) <= self.restarts else None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to pause before trying again: longer each time, and never quite the same.

    The n-th pause in a row lies in ``[(1 - jitter) * c, c)`` with
    ``c = min(most, first * factor ** (n - 1))``; without jitter it is `c`. By default that
    is "equal jitter": half of the pause is certain, so no failure is retried at once, and
    half is chance, so that many which failed together do not come back together.

    Raises:
        ValueError: the fields make no growing pause.
    """

    first: float
    """Longest pause after the first failure, in seconds."""

    most: float
    """Longest pause ever, in seconds."""

    factor: float = 2.0
    """How much longer each pause is than the one before; at least 1."""

    jitter: float = 0.5
    """Part of the pause that is left to chance, from 0 (none) to 1 ("full jitter")."""

    healthy_after: float = 60.0
    """Seconds without a failure after which earlier ones are forgotten."""

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.most and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ValueError(f"not a growing pause: {self}")

    def pause(self, failures: int, random: float) -> float:
        """Seconds to wait after so many failures in a row; 0 after none.

        Args:
            failures: in a row, this one included.
            random: from 0 to below 1, such as ``random.random()``.
        """
        if failures < 1:
            return 0.0
        try:
            longest = min(self.most, self.first * self.factor ** (failures - 1))
        except OverflowError:
            longest = self.most
        return longest * (1 - self.jitter * (1 - random))

    def failures(self, before: int, healthy_for: float) -> int:
        """How many failures in a row it is now, after `healthy_for` seconds without one."""
        return 1 if healthy_for >= self.healthy_after else before + 1
