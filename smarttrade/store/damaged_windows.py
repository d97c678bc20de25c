"""Windows that could not be read, and when each is read again: plain code.

The leader replaces what it finds damaged; it may not find what was later than its clock when it was
written, and no longer is. So each is read again, after growing pauses, and only some at a time.
Times are in seconds.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import NamedTuple

from actors import Backoff

from ..market.series import Series

REREAD_BACKOFF = Backoff(first=10.0, max_pause=120.0, jitter=0)

REREAD_INTERVAL = 1.0  # seconds between two looks at what is due
MAX_REREAD = 25
"""Windows that a look gives: should all be damaged, some 2 % of a core."""


class _Damage(NamedTuple):
    failures: int
    """Reads in a row that found it damaged."""
    due: float


class DamagedWindows:
    def __init__(self) -> None:
        self._damaged: dict[Series, _Damage] = {}
        self._look_at = float("-inf")

    def __contains__(self, series: Series) -> bool:
        return series in self._damaged

    def clear(self) -> None:
        self._damaged.clear()

    def note(self, series: Series, now: float, *, is_damaged: bool) -> None:
        """A window was read."""
        before = self._damaged.pop(series, None)
        if is_damaged:
            failures = 1 if before is None else before.failures + 1
            due = now + REREAD_BACKOFF.pause(failures, 0.0)
            self._damaged[series] = _Damage(failures, due)

    def take(self, now: float) -> list[Series]:
        """Those to read again now, which is noted then: what has been due for longest."""
        if not self._damaged or now < self._look_at:
            return []
        self._look_at = now + REREAD_INTERVAL
        due = [
            (damage.due, series) for series, damage in self._damaged.items() if damage.due <= now
        ]
        return [series for _, series in nsmallest(MAX_REREAD, due, key=lambda each: each[0])]
