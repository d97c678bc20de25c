"""The loop actor: notices when this process is too busy to do things in time."""

from __future__ import annotations

import trio

from .histogram import Histogram

LOOK_EVERY = 0.5
"""Seconds between two looks. A loop that is blocked for longer is noticed for certain, one that is
blocked for less as often as it is likely to matter."""


async def run_loop_delay(
    delays: Histogram, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Sleep, and count by how much each sleep was too long: every task here waits as long."""
    task_status.started()
    while True:
        due = trio.current_time() + LOOK_EVERY
        await trio.sleep_until(due)
        delays.observe(trio.current_time() - due)
