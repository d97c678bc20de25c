"""The backlogs of several shards: each event goes to those that it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .backlog import Backlog
from .events import CandlesPublished, Event, GapsChanged, Published, WindowReplaced
from .shards import shard_of


class Backlogs:
    """One for each shard that this process writes, by number."""

    def __init__(self, backlogs: Mapping[int, Backlog], count: int) -> None:
        self._backlogs = backlogs
        self._count = count

    def note(self, event: Event) -> None:
        """See `Backlog.note`."""
        match event:
            case CandlesPublished(published):
                for number, some in self._by_shard(published).items():
                    self._backlogs[number].note(CandlesPublished(some))
            case WindowReplaced(series) | GapsChanged(series):
                self._backlogs[shard_of(series.symbol, self._count)].note(event)
            case _:
                for backlog in self._backlogs.values():
                    backlog.note(event)

    def _by_shard(self, published: Sequence[Published]) -> dict[int, list[Published]]:
        divided: dict[int, list[Published]] = {}
        for each in published:
            divided.setdefault(shard_of(each.series.symbol, self._count), []).append(each)
        return divided

    def close(self) -> None:
        """See `Backlog.close`."""
        for backlog in self._backlogs.values():
            backlog.close()
