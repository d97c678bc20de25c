"""What this process uses, as the kernel counts it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

_OURS = Path("/proc/self")
_STARTED, _STARTED_AT = time.time(), time.monotonic()  # when this was imported: close enough
_PAGE = os.sysconf("SC_PAGE_SIZE")


def uptime() -> float:
    """Seconds since this process began."""
    return time.monotonic() - _STARTED_AT


def process_numbers() -> Iterator[tuple[str, float]]:
    """Names as in `metric_meanings`; what a system does not tell is left out."""
    yield "process_start_time_seconds", round(_STARTED, 3)
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield "process_cpu_seconds", round(used.ru_utime + used.ru_stime, 3)
    yield "process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        pages = int((_OURS / "statm").read_bytes().split()[1])
        fds = len(os.listdir(_OURS / "fd"))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    yield "process_resident_bytes", pages * _PAGE
    yield "process_open_fds", fds
