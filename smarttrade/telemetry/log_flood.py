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

from ..token_bucket import TokenBucket

AT_ONCE = 20
"""Lines of one event in a row, as when a series each is told of."""

EVERY = 10.0
"""Seconds in which one more may be written after those."""

MAX_EVENTS = 500
"""Remembered at a time: a library may put anything into what it logs."""


@dataclass(slots=True)
class _Allowance:
    lines: TokenBucket
    suppressed: int = 0


class Flood(logging.Filter):
    """Lets through what is no flood. `clock` is in seconds.

    Where lines were left out, the next one of that event has their number, as `suppressed`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._events: OrderedDict[tuple[str, str], _Allowance] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            return True
        allowance = self._allowance(record.name, _event_of(record))
        if not allowance.lines.take(self._clock()):
            allowance.suppressed += 1
            return False
        if allowance.suppressed:
            _add_count(record, allowance.suppressed)
            allowance.suppressed = 0
        return True

    def _allowance(self, logger: str, event: str) -> _Allowance:
        key = logger, event
        allowance = self._events.get(key)
        if allowance is None:
            allowance = self._events[key] = _Allowance(TokenBucket(AT_ONCE, 1 / EVERY))
            if len(self._events) > MAX_EVENTS:
                self._events.popitem(last=False)
        self._events.move_to_end(key)
        return allowance


def _event_of(record: logging.LogRecord) -> str:
    """The name of ours; of others, the text before anything is put into it."""
    if isinstance(record.msg, dict):
        return str(record.msg.get("event"))
    return getattr(record, "event_name", None) or str(record.msg)


def _add_count(record: logging.LogRecord, suppressed: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "suppressed": suppressed}
    else:
        record.msg = f"{record.msg} (and {suppressed} more before)"
