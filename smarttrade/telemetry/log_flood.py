"""The same event again and again is not worth a full disk.

An event that comes often is written a few times, and then once in a while, with how often it came
in between. Which event it is says its name and its logger, not its fields: sixty series that fail
for one reason are one trouble.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE = 20
"""Lines of one event in a row, as when a series each is told of."""

EVERY = 10.0
"""Seconds in which one more may be written after those."""

MAX_EVENTS = 500
"""Remembered at a time: a library may put anything into what it logs."""


@dataclass(slots=True)
class _Allowance:
    lines: float
    at: float
    unsaid: int = 0


class Flood(logging.Filter):
    """Lets through what is no flood. `clock` is in seconds.

    Where lines were left out, the next one of that event has their number, as `unsaid`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._events: OrderedDict[tuple[str, str], _Allowance] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            return True
        allowance = self._allowance(record.name, _event_of(record))
        if allowance.lines < 1:
            allowance.unsaid += 1
            return False
        allowance.lines -= 1
        if allowance.unsaid:
            _tell(record, allowance.unsaid)
            allowance.unsaid = 0
        return True

    def _allowance(self, logger: str, event: str) -> _Allowance:
        now = self._clock()
        key = logger, event
        allowance = self._events.get(key)
        if allowance is None:
            allowance = self._events[key] = _Allowance(AT_ONCE, now)
            if len(self._events) > MAX_EVENTS:
                self._events.popitem(last=False)
            return allowance
        self._events.move_to_end(key)
        allowance.lines = min(AT_ONCE, allowance.lines + (now - allowance.at) / EVERY)
        allowance.at = now
        return allowance


def _event_of(record: logging.LogRecord) -> str:
    """The name of ours; of others, the text before anything is put into it."""
    if isinstance(record.msg, dict):
        return str(record.msg.get("event"))
    return getattr(record, "event_name", None) or str(record.msg)


def _tell(record: logging.LogRecord, unsaid: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "unsaid": unsaid}
    else:
        record.msg = f"{record.msg} (and {unsaid} more before)"
