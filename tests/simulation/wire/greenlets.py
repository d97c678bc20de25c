"""Blocking calls in virtual time: what is a worker thread otherwise is a greenlet of the one thread.

A call runs until it has to wait. Then it hands what it waits for to a Trio task, and goes on with
what comes of that. So nothing depends on threads, and the clock stands still while it runs.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import trio
from greenlet import getcurrent, greenlet
from outcome import Error, Outcome, Value, acapture

T = TypeVar("T")

Spawn = Callable[..., None]


def wait_for(what: Callable[[], Awaitable[T]]) -> T:
    """In a blocking call: wait as a task would."""
    parent = getcurrent().parent
    assert parent is not None, "not in a greenlet"
    result: Outcome[T] = parent.switch(what)
    return result.unwrap()


def sleep(seconds: float) -> None:
    """As `time.sleep`."""
    wait_for(partial(trio.sleep, seconds))


async def _drive(call: Callable[[], T]) -> T:
    """Run a blocking call, and wait whenever it does."""
    worker = greenlet(call)
    worker.gr_context = contextvars.copy_context()
    found = worker.switch()
    while not worker.dead:
        found = worker.switch(await acapture(found))
    result: T = found
    return result


def thread_runner(spawn: Spawn) -> Callable[..., Awaitable[Any]]:
    """What replaces `trio.to_thread.run_sync`; a call that is left behind goes on in `spawn`."""

    async def run_sync(
        call: Callable[..., T],
        *arguments: Any,
        limiter: trio.CapacityLimiter,
        abandon_on_cancel: bool,
    ) -> T:
        assert abandon_on_cancel
        borrower, done = object(), trio.Event()
        results: list[Outcome[T]] = []

        async def run() -> None:
            try:
                results.append(Value(await _drive(lambda: call(*arguments))))
            except Exception as error:  # noqa: BLE001 - the caller's
                results.append(Error(error))
            finally:
                limiter.release_on_behalf_of(borrower)
                done.set()

        await limiter.acquire_on_behalf_of(borrower)
        spawn(run)
        await done.wait()
        if not results:  # the world has ended, and so does this task
            await trio.sleep_forever()
        return results[0].unwrap()

    return run_sync
