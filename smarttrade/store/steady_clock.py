"""The loop's clock, which stops while the machine is suspended, and how long that was."""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

SUSPEND_NOTICED = 1.0  # seconds; the two clocks of a machine that runs do not differ by that


def suspended_time() -> float:
    """Seconds for which the machine has been suspended since it booted.

    0 where the system does not say: Linux has a clock that goes on meanwhile, others do not.
    """
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    ahead = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return round(ahead, 1)  # the two are read one after the other


class SteadyClock:
    """The loop's time in seconds, and the suspended time since this began."""

    def __init__(self, suspended: Callable[[], float]) -> None:
        self._suspended = suspended
        self._at_begin = self._noticed = suspended()

    def now(self) -> float:
        return trio.current_time() + self._suspended() - self._at_begin

    def has_resumed(self) -> bool:
        """Whether the machine was suspended since this was asked last."""
        suspended = self._suspended()
        if suspended < self._noticed + SUSPEND_NOTICED:
            return False
        self._noticed = suspended
        return True
