"""For tests: the order in which Trio runs its tasks, as a function of a seed.

Trio shuffles tasks that are ready at the same time, on purpose, so that nobody relies on
an order. With a seed, a test that fails for one order in a thousand fails again.

Two private names of Trio are used, here and nowhere else, until it has a public way:
https://github.com/python-trio/trio/issues/2675. The tests of this module tell whether
they still work.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

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
