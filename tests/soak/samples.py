"""What the service holds, sampled, and whether that grows."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smarttrade.session.encoded_cache import MAX_CACHED_BYTES
from smarttrade.session.waiting_bytes import MAX_WAITING_BYTES_PER_ADDRESS

HELD = re.compile(r"^smarttrade_server_(?:waiting|cached)_bytes (\d+)", re.MULTILINE)

PER_CLIENT = 0.1  # megabytes; twice what one takes, see docs/performance.md
MAX_GROWTH = 0.03  # share of the memory
TOLERANCE = 4.0  # megabytes; with that share of 140 MB it is 0.6 KB for each of an hour's clients


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds since the start."""
    memory: float
    """Megabytes resident."""
    held: float
    """Megabytes of it that the service says it keeps within limits: caches, and what waits."""
    descriptors: int
    threads: int
    clients: int

    @property
    def rest(self) -> float:
        """Megabytes that no limit allows to grow."""
        return self.memory - self.held


def take_sample(pid: int, at: float, held: float, clients: int) -> Sample:
    place = Path(f"/proc/{pid}")
    pages = int((place / "statm").read_text().split()[1])
    return Sample(
        at,
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        held,
        sum(1 for _ in (place / "fd").iterdir()),
        sum(1 for _ in (place / "task").iterdir()),
        clients,
    )


def held_in(metrics: str) -> float:
    """Megabytes, from the text of `/metrics`."""
    return sum(map(int, HELD.findall(metrics))) / 1e6


def most_allowed(before: Sample, clients: int) -> float:
    """Megabytes with so many clients, while one address attacks as it likes."""
    limits = (MAX_CACHED_BYTES + MAX_WAITING_BYTES_PER_ADDRESS) / 1e6
    return before.memory + limits + PER_CLIENT * clients


def growth(samples: Sequence[Sample], span: float) -> float | None:
    """Megabytes by which the lowest rest of the last `span` seconds is above that of the first.

    What an attack allocated may stay with the allocator for minutes: peaks come and go. What is
    left behind by clients raises the floor, too. In spans that differ in their attacks, floors
    differ as well: None if there is no time for two whole ones.
    """
    begin, end = samples[0].at, samples[-1].at
    if end - begin < 2 * span:
        return None
    first = min(each.rest for each in samples if each.at <= begin + span)
    return min(each.rest for each in samples if each.at >= end - span) - first


def grows(samples: Sequence[Sample], span: float) -> bool:
    """Whether it grew by more than it varies anyway; False if that cannot be seen."""
    limit = MAX_GROWTH * samples[0].rest + TOLERANCE
    return (growth(samples, span) or 0.0) > limit
