"""A quick start.

What is imported, and the candles that are loaded, stay for good. Looking again and again which of
it may be garbage takes a quarter of the time until we serve, so that is not done until then; nor,
of these objects, ever after.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def starting() -> Generator[None]:
    """Nothing is collected inside, or until `started` is called."""
    gc.disable()
    try:
        yield
    finally:
        started()


def started() -> None:
    """What there is now stays."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
