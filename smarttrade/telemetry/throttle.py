"""Limit how often the same event is logged: a repeated event must not fill the disk.

An event that repeats is logged a few times, then once per interval, with the number of lines that
were suppressed in between. Events are distinguished by name and logger, not by fields: sixty series
that fail for one reason are one problem. A warning that says the same again, but for its numbers,
is logged once per minute: a machine without a network needs one line.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf

from ..token_bucket import TokenBucket

BURST = 20
"""Lines of one event in a row, enough for one per series of a small service."""

INTERVAL = 10.0
"""Seconds until one more line of an event is allowed after the burst."""

REPEAT_INTERVAL = 60.0
"""Seconds until a warning that differs in nothing but numbers is logged again."""

MAX_EVENTS = 500
"""Events that are remembered at a time: a library may log any text."""


@dataclass(slots=True)
class _Allowance:
    lines: TokenBucket
    suppressed: int = 0


class LogThrottle(logging.Filter):
    """Suppresses records of events that repeat; critical ones always pass.

    The first line of an event after a suppression has the number, as `suppressed`. `clock` is in
    seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._allowances: OrderedDict[tuple[str, str], _Allowance] = OrderedDict()
        self._logged_at: OrderedDict[Hashable, float] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            return True
        allowance = self._allowance(record.name, _event_of(record))
        now = self._clock()
        if self._is_repetition(record, now) or not allowance.lines.take(now):
            allowance.suppressed += 1
            return False
        if allowance.suppressed:
            _add_suppressed(record, allowance.suppressed)
            allowance.suppressed = 0
        return True

    def _is_repetition(self, record: logging.LogRecord, now: float) -> bool:
        if record.levelno < logging.WARNING or not isinstance(record.msg, dict):
            return False
        texts = (each for each in record.msg.items() if isinstance(each[1], str))
        key = record.name, tuple(sorted(each for each in texts if each[0] != "timestamp"))
        if now - self._logged_at.get(key, -inf) < REPEAT_INTERVAL:
            return True
        self._logged_at[key] = now
        self._logged_at.move_to_end(key)
        if len(self._logged_at) > MAX_EVENTS:
            self._logged_at.popitem(last=False)
        return False

    def _allowance(self, logger: str, event: str) -> _Allowance:
        key = logger, event
        allowance = self._allowances.get(key)
        if allowance is None:
            allowance = self._allowances[key] = _Allowance(TokenBucket(BURST, 1 / INTERVAL))
            if len(self._allowances) > MAX_EVENTS:
                self._allowances.popitem(last=False)
        self._allowances.move_to_end(key)
        return allowance


def _event_of(record: logging.LogRecord) -> str:
    """Our event name, or a library's message before its arguments are formatted into it."""
    if isinstance(record.msg, dict):
        return str(record.msg.get("event"))
    return getattr(record, "event_name", None) or str(record.msg)


def _add_suppressed(record: logging.LogRecord, suppressed: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "suppressed": suppressed}
    else:
        record.msg = f"{record.msg} ({suppressed} more suppressed)"
