"""What this process uses, as the kernel counts it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

_OURS = Path("/proc/self")
_PAGE = os.sysconf("SC_PAGE_SIZE")


_TICK = os.sysconf("SC_CLK_TCK")


def uptime() -> float:
    """Seconds since this process began. Source: proc_pid_stat(5), `starttime`."""
    fields = (_OURS / "stat").read_bytes().rpartition(b")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICK


def process_numbers() -> Iterator[tuple[str, float]]:
    """Names as in `descriptions.py`; what a system does not report is left out."""
    yield "process_start_time_seconds", round(time.time() - uptime(), 3)
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
