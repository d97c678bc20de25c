"""The program with every step of its tasks timed: how long its loop is held at a time.

Processor time of the loop's thread, so that other programs on the machine do not count. SIGUSR1
writes the longest steps since the last one to the file `STEPS`, as JSON: seconds, and the task with
how much of it was garbage collection. So does it with the longest turns of the scheduler, in which
every task that is ready has a step; what is new waits for the end of a turn.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import trio

KEPT = 20


class Steps(trio.abc.Instrument):
    def __init__(self) -> None:
        self._longest: list[tuple[float, str]] = []
        self._began = 0.0
        self._collected = 0.0
        """Seconds of this step for which garbage was collected."""
        self._collects_since = 0.0
        self._turns: list[tuple[float, str]] = []
        self._turn_began = 0.0
        self._in_turn: Counter[str] = Counter()
        """Microseconds of each task's steps in this turn."""
        gc.callbacks.append(self._note_collection)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._collected = 0.0
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began
        self._in_turn[task.name] += round(took * 1e6)
        if _is_long(self._longest, took):
            name = task.name
            if self._collected:
                name += f" ({self._collected * 1000:.1f} ms of it garbage collection)"
            _keep(self._longest, took, name)

    def after_io_wait(self, timeout: float) -> None:
        self._turn_began = time.thread_time()
        self._in_turn.clear()

    def before_io_wait(self, timeout: float) -> None:
        took = time.thread_time() - self._turn_began
        if _is_long(self._turns, took):
            most = [f"{name} {us / 1000:.1f}" for name, us in self._in_turn.most_common(3)]
            _keep(self._turns, took, ", ".join(most))

    def _note_collection(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collects_since = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collects_since

    def write(self, *_: Any) -> None:
        found = {
            "steps": sorted(self._longest, reverse=True),
            "turns": sorted(self._turns, reverse=True),
        }
        self._longest, self._turns = [], []
        path = Path(os.environ["STEPS"])
        path.with_suffix(".part").write_text(json.dumps(found))
        path.with_suffix(".part").replace(path)


def _is_long(kept: list[tuple[float, str]], took: float) -> bool:
    return len(kept) < KEPT or took > kept[0][0]


def _keep(kept: list[tuple[float, str]], took: float, name: str) -> None:
    keep = heapq.heappush if len(kept) < KEPT else heapq.heapreplace
    keep(kept, (took, name))


def main() -> None:
    steps = Steps()
    signal.signal(signal.SIGUSR1, steps.write)
    trio.run = partial(trio.run, instruments=[steps])  # type: ignore[assignment]
    from smarttrade.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
