"""No garbage collection during the start.

Imported modules and loaded candles stay for the life of the process. Scanning them again and again
takes a quarter of the time until the service is ready, so the collector is off until then, and the
objects of the start are frozen after it. History that is loaded after that is frozen as it comes: a
full collection holds the loop for 1 ms with each thousand series that it looks at.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

from .progress import Progress

SERIES_PER_FREEZE = 250
"""What is in a reference cycle at that moment, and no longer in use, is never freed: up to some
thousand objects each time."""


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


def freezing(progress: Progress) -> Progress:
    """Freeze what has been loaded as `progress` goes on."""

    def loaded(done: int, total: int) -> None:
        progress(done, total)
        if done % SERIES_PER_FREEZE == 0 or done == total:
            gc.freeze()

    return loaded
