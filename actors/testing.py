"""For tests: the order of tasks as a function of a seed, and crashes wherever a task waits.

Trio shuffles tasks that are ready at the same time, on purpose, so that nobody relies on
an order. With a seed, a test that fails for one order in a thousand fails again.

Three private names of Trio are used, here and nowhere else, until it has public ways:
https://github.com/python-trio/trio/issues/2675 for the order. The tests of this module
tell whether they still work.
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
    """Within the block, the same seed gives the same order of tasks, and the same jitter.

    Enter it before `trio.run`, or in a fixture that is set up before the test's own. It
    also seeds the module `random`, from which a `Supervisor` without `rng` takes its
    jitter; both are put back afterwards. Together with `trio.testing.MockClock` a whole
    run is repeatable if nothing in it comes from outside: no threads, no real sockets, no
    clock of the system, no order of a set of strings.
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
    """`task` and everything that runs in its nurseries, in an order that the seed decides."""
    yield task
    for nursery in task.child_nurseries:
        children = sorted(nursery.child_tasks, key=lambda child: child._counter)  # noqa: SLF001
        for child in children:
            yield from tasks_below(child)


def crash(task: trio.lowlevel.Task, error: Exception) -> bool:
    """Make what `task` waits for raise `error`, as a bug in there would.

    False, and nothing happens, when it does not wait for anything just now, or for something
    that cannot be interrupted. It is what Trio itself does to deliver KeyboardInterrupt.
    """

    def instead() -> NoReturn:
        raise error

    if task is trio.lowlevel.current_task() or task._abort_func is None:  # noqa: SLF001
        return False
    task._attempt_abort(instead)  # noqa: SLF001
    return True
