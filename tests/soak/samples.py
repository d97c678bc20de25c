"""What the service holds, sampled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds since the start."""
    memory: float
    """Megabytes resident."""
    descriptors: int
    threads: int
    clients: int


def take_sample(pid: int, at: float, clients: int) -> Sample:
    place = Path(f"/proc/{pid}")
    pages = int((place / "statm").read_text().split()[1])
    return Sample(
        at,
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        sum(1 for _ in (place / "fd").iterdir()),
        sum(1 for _ in (place / "task").iterdir()),
        clients,
    )
