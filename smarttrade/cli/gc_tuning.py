"""No garbage collection during the start.

Imported modules and loaded candles stay for the life of the process. Scanning them again and again
takes a quarter of the time until the service is ready, so the collector is off until then, and the
objects of the start are frozen after it. While history is loaded, and shortly after it, what a full
collection leaves is frozen, too: it holds the loop for 1 ms with each ten thousand objects that it
looks at, and with thousands of series there are more of them than that.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Generator
from contextlib import contextmanager

from .progress import Progress

LOADING_THRESHOLD = (700, 10, 2)
"""`gc.set_threshold` while history is loaded: a full collection after about 15,000 new objects."""

SERIES_PER_FREEZE = 25
"""Series that must be loaded for each time that objects are frozen: what is frozen and becomes
garbage later, in a reference cycle, is never freed, so a start that takes hours must not freeze."""

FREEZES_AT_FIRST = 20  # before any series is loaded: so many states of series are made then

COLLECTIONS_AFTER_LOADING = 10
"""Full collections until the usual thresholds hold again: by then each series has had its first
updates."""


@contextmanager
def gc_paused() -> Generator[None]:
    """No collection inside, or until `resume_gc` is called."""
    gc.disable()
    try:
        yield
    finally:
        resume_gc()


def resume_gc() -> None:
    """Freeze the objects that exist now, and collect garbage again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


@contextmanager
def freezing(progress: Progress) -> Generator[Progress]:
    """Freeze what full collections leave, until a while after `progress` has come to its end."""
    usual = gc.get_threshold()
    series, freezes, left = 0, 0, math.inf

    def loaded(done: int, total: int) -> None:
        nonlocal series, left
        series = max(series, done)
        if done >= total:
            left = min(left, COLLECTIONS_AFTER_LOADING)
        progress(done, total)

    def collected(phase: str, info: dict[str, int]) -> None:
        nonlocal freezes, left
        if phase != "stop" or info["generation"] != 2:
            return
        if freezes < FREEZES_AT_FIRST + series // SERIES_PER_FREEZE:
            freezes += 1
            gc.freeze()
        left -= 1
        if left == 0:
            stop()

    def stop() -> None:
        if collected in gc.callbacks:
            gc.callbacks.remove(collected)
            gc.set_threshold(*usual)

    gc.set_threshold(*LOADING_THRESHOLD)
    gc.callbacks.append(collected)
    try:
        yield loaded
    finally:
        stop()
