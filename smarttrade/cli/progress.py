"""Progress of loading history, on a terminal or in the log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf

import structlog

log = structlog.get_logger("smarttrade")

REPORT_INTERVAL = 2.0  # seconds between two lines at least,
REPORT_SHARE = 0.1  # and so much of the whole

Progress = Callable[[int, int], None]
"""Called with the number of series that are done, and of all."""


@contextmanager
def open_progress() -> Generator[Progress]:
    """A bar if standard error is a terminal, log lines otherwise."""
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield LoggedProgress()


class LoggedProgress:
    """A line at the beginning, some on the way, and one at the end with the seconds it took."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, only_the_end: bool = False
    ) -> None:
        self._clock = clock
        self._only_the_end = only_the_end
        self._began: float | None = None
        self._reported_at = -inf
        self._reported_done = 0

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if done >= total:
            if self._began is not None:
                log.info("history_loaded", series=total, seconds=round(now - self._began, 1))
            self._began = None
            return
        if self._began is None:
            self._began, self._reported_at, self._reported_done = now, -inf, -total
        if self._only_the_end:
            return
        if (
            now - self._reported_at >= REPORT_INTERVAL
            and done - self._reported_done >= REPORT_SHARE * total
        ):
            log.info("loading_history", done=done, series=total)
            self._reported_at, self._reported_done = now, done


@contextmanager
def _bar() -> Generator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    logged = LoggedProgress(only_the_end=True)
    bar = Progress(
        TextColumn("history"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    task = bar.add_task("history", total=None)

    def progress(done: int, total: int) -> None:
        if done < total:
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()
        logged(done, total)

    try:
        yield progress
    finally:
        bar.stop()
