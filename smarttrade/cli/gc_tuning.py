"""No garbage collection during the start.

Imported modules and loaded candles stay for the life of the process. Scanning them again and again
takes a quarter of the time until the service is ready, so the collector is off until then, and the
objects of the start are frozen after it.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


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
