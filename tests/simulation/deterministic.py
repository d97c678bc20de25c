"""Nothing from outside: within `sealed`, all chance follows from a seed and all time is virtual."""

from __future__ import annotations

import gc
import os
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from unittest.mock import patch

import trio

import smarttrade.store.journal.state as journal_module
from actors.testing import seeded_scheduler

START = 1_733_007_600.0 + 12.345  # s since the epoch; some seconds into a minute


def virtual_time() -> float:
    """Trio's clock, or 0 while it does not run."""
    try:
        return trio.current_time()
    except RuntimeError:
        return 0.0


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Around `trio.run`: the same seed gives the same run, to the byte.

    The modules `random`, `secrets` and `os.urandom` give what follows from the seed; `time.time`
    and `time.monotonic` tell virtual time (a library that keeps connections alive asks there).
    Garbage is collected when the world says so, because finalizers run code; what was there before,
    modules above all, is not looked through each time.
    """
    rng = Random(seed)
    names = iter(range(1, 1 << 62))
    was_collecting = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    with (
        seeded_scheduler(seed),
        patch.object(os, "urandom", rng.randbytes),
        patch.object(secrets, "token_hex", lambda size=32: rng.randbytes(size).hex()),
        patch.object(time, "time", lambda: START + virtual_time()),
        patch.object(time, "monotonic", virtual_time),
        patch.object(journal_module, "leader_name", lambda: f"leader-{next(names)}"),
    ):
        random.seed(seed)
        try:
            yield
        finally:
            gc.unfreeze()
            if was_collecting:
                gc.enable()
