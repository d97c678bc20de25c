"""The program with every step of its tasks timed: how long its loop is held at a time.

Processor time of the loop's thread, so that other programs on the machine do not count. SIGUSR1
writes the longest steps since the last one to the file `STEPS`, as JSON: seconds, and the task with
how much of it was garbage collection.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import signal
import time
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
        gc.callbacks.append(self._note_collection)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._collected = 0.0
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began
        if len(self._longest) == KEPT and took <= self._longest[0][0]:
            return
        name = task.name
        if self._collected:
            name += f" ({self._collected * 1000:.1f} ms of it garbage collection)"
        keep = heapq.heappush if len(self._longest) < KEPT else heapq.heapreplace
        keep(self._longest, (took, name))

    def _note_collection(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collects_since = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collects_since

    def write(self, *_: Any) -> None:
        longest, self._longest = sorted(self._longest, reverse=True), []
        path = Path(os.environ["STEPS"])
        path.with_suffix(".part").write_text(json.dumps(longest))
        path.with_suffix(".part").replace(path)


def main() -> None:
    steps = Steps()
    signal.signal(signal.SIGUSR1, steps.write)
    trio.run = partial(trio.run, instruments=[steps])  # type: ignore[assignment]
    from smarttrade.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
