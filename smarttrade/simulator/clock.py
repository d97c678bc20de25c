"""The exchange's time, which runs along Trio's clock and knows no other."""

from __future__ import annotations

import trio


class SimulatedClock:
    """Milliseconds since the epoch, `speed` times as fast as Trio's seconds.

    It starts at `start_ms` when it is first read. What the exchange promises by its own time
    (candles, pushes every two seconds, 24 hours of life) follows this clock; what belongs to the
    line (pings, limits per minute, Retry-After) follows Trio's.
    """

    def __init__(self, start_ms: int, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"the exchange's time must advance; speed: {speed}")
        self.start_ms = start_ms
        self.speed = speed
        self._started: float | None = None

    def now(self) -> int:
        return self.start_ms + int((trio.current_time() - self._origin()) * 1000 * self.speed)

    def trio_time(self, time: int) -> float:
        """When `time` (ms) is, on Trio's clock."""
        return self._origin() + (time - self.start_ms) / 1000 / self.speed

    def _origin(self) -> float:
        if self._started is None:
            self._started = trio.current_time()
        return self._started
