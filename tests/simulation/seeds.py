"""Every seed that ever failed, and why; all are run again with the tests."""

from __future__ import annotations

FAILED: dict[tuple[int, float, bool], str] = {
    (33, 0.2, False): "a gateway published corrections of candles that had left its window",
}
"""By seed, simulated hours, and whether it was a run of the liveness mode."""
