"""How long one client may take nothing."""

from __future__ import annotations

from math import inf

import trio


class WriteDeadline:
    """One stall limit for each write; after `start_final`, one in all."""

    __slots__ = ("_final_deadline", "stall_limit")

    def __init__(self, stall_limit: float) -> None:
        self.stall_limit = stall_limit
        """Seconds."""
        self._final_deadline: float | None = None

    def start_final(self) -> None:
        """From now on, there is one stall limit in all."""
        if self._final_deadline is None:
            self._final_deadline = trio.current_time() + self.stall_limit

    def reset(self) -> None:
        self._final_deadline = None

    def next_deadline(self) -> float:
        """Of a write that begins now."""
        limit = trio.current_time() + self.stall_limit
        return limit if self._final_deadline is None else min(limit, self._final_deadline)

    def is_over(self) -> bool:
        return trio.current_time() >= (self._final_deadline or inf)
