"""How it stands with Redis, counted, for operators. Plain code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any


class RedisRole(Enum):
    """What this process is to Redis now."""

    CONNECTING = "connecting"
    LEADING = "leading"
    """It writes."""
    STANDBY = "standby"
    """Another one writes; this one would, if that one ended."""
    FOLLOWING = "following"
    """It reads what another one writes."""
    AWAY = "away"
    """Redis cannot be used. Memory goes on, and it is tried again and again."""


class _Report:
    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self.role = RedisRole.CONNECTING
        self.since = wall_clock()
        """Of the role; seconds since the epoch."""
        self.error: str | None = None
        """The last one, also when it is over."""
        self.leader: str | None = None
        """Who writes, if that is known and another process."""
        self.errors = 0
        """Calls that failed."""

    def change(self, role: RedisRole, error: str | None = None, leader: str | None = None) -> bool:
        """Note a role; True when it is another one than before."""
        if error is not None:
            self.error = error
        self.leader = leader
        if role is self.role:
            return False
        self.role, self.since = role, self._wall_clock()
        return True

    def _heading(self) -> dict[str, Any]:
        return {
            "role": self.role.value,
            "since": round(self.since, 3),
            "last_error": self.error,
            "leader": self.leader,
        }


class JournalReport(_Report):
    """Of a process that has a feed."""

    def __init__(
        self,
        wall_clock: Callable[[], float],
        waiting: Callable[[], int],
        age: Callable[[], float],
    ) -> None:
        super().__init__(wall_clock)
        self._waiting = waiting
        self._age = age
        self.batches = 0
        self.written = 0
        """Candles."""
        self.retries = 0
        """Batches that are written again because their outcome is unknown."""
        self.fenced = 0
        """Batches that were refused because another one led."""
        self.lost = 0
        """How often Redis no longer had what was written to it."""
        self.quarantined = 0
        """Lists that could not be read."""
        self.comparisons = 0
        """How often everything stored was read and compared."""

    def describe(self) -> dict[str, Any]:
        return {
            **self._heading(),
            "waiting": self._waiting(),
            "lag": round(self._age(), 3),
            "batches": self.batches,
            "written": self.written,
            "retries": self.retries,
            "errors": self.errors,
            "fenced": self.fenced,
            "lost": self.lost,
            "quarantined": self.quarantined,
            "comparisons": self.comparisons,
        }


class RelayReport(_Report):
    """Of a process that follows."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        super().__init__(wall_clock)
        self.received_at = wall_clock()
        """When the leader's last entry arrived; seconds since the epoch."""
        self.entries = 0
        """PendingWrites from the change stream."""
        self.followed = 0
        """Candles in them."""
        self.loads = 0
        """How often all windows were read; the first time included."""
        self.reloads = 0
        """Single windows that were read again, because they had been replaced."""
        self.fell_behind = 0
        """How often entries had gone before they were read, or were not what they should be."""

    def note_received(self) -> None:
        self.received_at = self._wall_clock()

    def describe(self) -> dict[str, Any]:
        return {
            **self._heading(),
            "lag": round(max(0.0, self._wall_clock() - self.received_at), 3),
            "entries": self.entries,
            "followed": self.followed,
            "loads": self.loads,
            "reloads": self.reloads,
            "fell_behind": self.fell_behind,
            "errors": self.errors,
        }


_WORST_FIRST = ["away", "connecting", "standby", "following", "leading"]


def describe_shards(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several shards as one, which is as well as the worst of them, and each of them.

    What is counted is added up.
    """
    worst = min(shards, key=lambda each: _WORST_FIRST.index(each["role"]))
    whole = {name: worst[name] for name in ("role", "since", "last_error", "leader")}
    for name in [name for name in shards[0] if name not in (*whole, "shard")]:
        values = [each[name] for each in shards]
        whole[name] = max(values) if name == "lag" else sum(values)
    return {**whole, "shards": [dict(each) for each in shards]}
