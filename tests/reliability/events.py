"""What the service says it does: its log, counted instead of written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

Event = MutableMapping[str, Any]


class Journal:
    """How often each kind of event was logged, and the states of the feed in their order."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.feeds: list[str] = []
        self.hints: list[str] = []
        self.crashes: list[str] = []

    def note(self, logger: Any, method: str, event: Event) -> Event:
        name = str(event["event"])
        self.counts[name] += 1
        if name == "feed":
            self.feeds.append(event["state"])
        if "hint" in event and event["hint"] not in self.hints:
            self.hints.append(event["hint"])
        if "exc_info" in event:
            self.crashes.append(f"{name}: {event['exc_info']!r}")
        raise structlog.DropEvent

    def reset(self) -> None:
        self.counts.clear()
        self.feeds.clear()
        self.hints.clear()


@contextmanager
def counted() -> Iterator[Journal]:
    journal = Journal()
    structlog.configure(processors=[journal.note])
    try:
        yield journal
    finally:
        structlog.reset_defaults()
