"""Several requests at once, but not all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio


async def run_all(jobs: Sequence[Callable[[], Awaitable[None]]], *, at_once: int) -> None:
    """Run each job, begun in this order, and `at_once` of them at a time."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    async with trio.open_nursery() as nursery:
        for _ in range(min(at_once, len(jobs))):
            nursery.start_soon(work)
