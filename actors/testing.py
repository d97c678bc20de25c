"""For tests: task order as a function of a seed, and crashes at any point where a task waits.

Trio shuffles tasks that are ready at the same time, so that programs do not rely on an
order. With a seed, a test that fails for one order in a thousand can be run again.

This is the only module that uses private names of Trio: ``_r`` and
``_ALLOW_DETERMINISTIC_SCHEDULING`` for the order, until Trio has a public way
(https://github.com/python-trio/trio/issues/2675), ``Task._counter``, ``Task._abort_func`` and
``Task._attempt_abort``. Its tests fail if a version of Trio changes them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import trio
from trio._core import _run as trio_run


@contextmanager
def seeded_scheduler(seed: int) -> Iterator[None]:
    """Make task order and jitter within the block a function of `seed`.

    Enter it before `trio.run`, or in a fixture that is set up before the test's own. It
    also seeds the module `random`, from which a `Supervisor` without `rng` takes its
    jitter; the state of both is restored afterwards. With `trio.testing.MockClock` a
    whole run is repeatable if all its input is: no threads, no real sockets, no system
    clock, no iteration over a set of strings.
    """
    allowed = trio_run._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    states = trio_run._r.getstate(), random.getstate()  # noqa: SLF001
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    trio_run._r.seed(seed)  # noqa: SLF001
    random.seed(seed)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = allowed  # type: ignore[misc]  # noqa: SLF001
        trio_run._r.setstate(states[0])  # noqa: SLF001
        random.setstate(states[1])


def tasks_below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """`task` and all tasks in its nurseries, recursively, in the order of their creation."""
    yield task
    for nursery in task.child_nurseries:
        children = sorted(nursery.child_tasks, key=lambda child: child._counter)  # noqa: SLF001
        for child in children:
            yield from tasks_below(child)


def crash(task: trio.lowlevel.Task, error: Exception) -> bool:
    """Raise `error` where `task` waits, as a bug there would.

    Returns False, without effect, if the task is not waiting, or waits for something that
    cannot be cancelled. Trio delivers KeyboardInterrupt in the same way.
    """

    def raise_error() -> NoReturn:
        raise error

    if task is trio.lowlevel.current_task() or task._abort_func is None:  # noqa: SLF001
        return False
    task._attempt_abort(raise_error)  # noqa: SLF001
    return True
