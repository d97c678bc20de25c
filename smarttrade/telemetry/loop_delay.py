"""The loop actor: measures how late the scheduler runs a task that is due."""

from __future__ import annotations

import trio

from .histogram import Histogram

SAMPLE_INTERVAL = 0.5
"""Seconds between two samples: longer blocks of the loop are noticed for certain."""


async def run_loop_delay(
    delays: Histogram, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Sample by how much a sleep is too long: every task of this process waits as long."""
    task_status.started()
    while True:
        due = trio.current_time() + SAMPLE_INTERVAL
        await trio.sleep_until(due)
        delays.observe(trio.current_time() - due)
