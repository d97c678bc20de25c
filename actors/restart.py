"""Restart rules, as pure functions: no clock, no tasks, no randomness.

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
    """Whether a child that has ended is restarted."""

    PERMANENT = "always"
    TRANSIENT = "only when it failed"
    TEMPORARY = "never"

    def wanted(self, *, failed: bool) -> bool:
        """Whether a child that ended by itself is restarted."""
        return self is Restart.PERMANENT or (self is Restart.TRANSIENT and failed)


def affected(strategy: Strategy, names: Sequence[str], failed: str) -> Sequence[str]:
    """The children to restart after `failed` has failed, in start order.

    Raises:
        ValueError: `failed` is not in `names`, under `Strategy.REST_FOR_ONE`.
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
    """How many failures a supervisor handles before it fails itself.

    Budgets multiply up a tree: 3 above 5 lets a leaf start 4 x 6 = 24 times. Keep the
    upper one small.
    """

    restarts: int
    """Maximum number of restarts within any window of `within` seconds. 0 allows none."""

    within: float
    """Length of the window in seconds, both ends included."""

    def spend(self, past: tuple[float, ...], now: float) -> tuple[float, ...] | None:
        """Record a failure at `now`; None if it exceeds the budget.

        `past` is what this returned for the previous failure, () at first: the times of
        earlier failures, newest first.
        """
        recent = (now, *(t for t in past if t >= now - self.within))
        return recent if len(recent) <= self.restarts else None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to pause before each retry: exponential, with a limit and jitter.

    The n-th pause in a row lies in ``[(1 - jitter) * c, c)`` with
    ``c = min(max_pause, first * factor ** (n - 1))``; without jitter it is `c`. The default
    is "equal jitter": half of the pause is fixed, so no failure is retried immediately, and
    half is random, so actors that failed together do not restart together.

    Raises:
        ValueError: the fields do not describe a growing pause.
    """

    first: float
    """Longest pause after the first failure, in seconds."""

    max_pause: float
    """Longest pause after any failure, in seconds."""

    factor: float = 2.0
    """Ratio of each pause to the previous one; at least 1."""

    jitter: float = 0.5
    """Fraction of the pause that is random, from 0 (none) to 1 ("full jitter")."""

    healthy_after: float = 60.0
    """Seconds without a failure after which earlier failures are forgotten."""

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.max_pause and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ValueError(f"not a growing pause: {self}")

    def pause(self, failures: int, random: float) -> float:
        """Seconds to wait after `failures` failures in a row; 0 after none.

        Args:
            failures: consecutive failures, including the current one.
            random: in [0, 1), such as ``random.random()``.
        """
        if failures < 1:
            return 0.0
        try:
            longest = min(self.max_pause, self.first * self.factor ** (failures - 1))
        except OverflowError:
            longest = self.max_pause
        return longest * (1 - self.jitter * (1 - random))

    def failures(self, before: int, healthy_for: float) -> int:
        """Consecutive failures, including one that comes after `healthy_for` seconds of health."""
        return 1 if healthy_for >= self.healthy_after else before + 1
