from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from smarttrade.telemetry.log_flood import AT_ONCE, EVERY, MAX_EVENTS, Flood
from smarttrade.telemetry.logs import configure_logs


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(
    msg: object, *, name: str = "ours", level: int = logging.WARNING, event: str | None = None
) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "file", 1, msg, (), None)
    if event is not None:
        made.event_name = event
    return made


def passed(flood: Flood, count: int, msg: object = "it failed", **options: Any) -> int:
    return sum(flood.filter(record(msg, **options)) for _ in range(count))


def test_event_is_written_a_few_times_and_then_once_in_a_while() -> None:
    clock = Clock()
    flood = Flood(clock)
    assert passed(flood, 1000) == AT_ONCE
    clock.now += EVERY
    assert passed(flood, 1000) == 1
    written = 0
    for _ in range(600):
        clock.now += 1
        written += passed(flood, 100)
    assert written == pytest.approx(600 / EVERY, abs=1)


def test_after_a_rest_all_lines_are_there_again() -> None:
    clock = Clock()
    flood = Flood(clock)
    passed(flood, 1000)
    clock.now += AT_ONCE * EVERY
    assert passed(flood, 1000) == AT_ONCE


def test_what_was_left_out_is_told() -> None:
    clock = Clock()
    flood = Flood(clock)
    for _ in range(AT_ONCE + 7):
        flood.filter(record({"event": "failed", "series": "x"}))
    clock.now += EVERY
    told = record({"event": "failed", "series": "y"})
    assert flood.filter(told)
    assert told.msg == {"event": "failed", "series": "y", "suppressed": 7}
    clock.now += EVERY
    next_one = record({"event": "failed"})
    assert flood.filter(next_one)
    assert next_one.msg == {"event": "failed"}


def test_events_do_not_count_for_each_other() -> None:
    flood = Flood(Clock())
    assert passed(flood, 100, {"event": "one"}) == AT_ONCE
    assert passed(flood, 100, {"event": "other"}) == AT_ONCE
    assert passed(flood, 100, {"event": "one"}, name="another logger") == AT_ONCE
    assert passed(flood, 100, "%s restarts", event="actor_restarting") == AT_ONCE
    assert passed(flood, 100, "other words", event="actor_restarting") == 0


def test_what_is_critical_is_always_written() -> None:
    flood = Flood(Clock())
    assert all(flood.filter(record("end", level=logging.CRITICAL)) for _ in range(1000))


def test_memory_is_bounded_whatever_is_logged() -> None:
    flood = Flood(Clock())
    for number in range(3 * MAX_EVENTS):
        flood.filter(record(f"text {number}"))
    assert len(flood._events) == MAX_EVENTS


def test_the_log_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs()
    log = structlog.get_logger("ours")
    for number in range(500):
        log.warning("history_unavailable", series=number)
        logging.getLogger("theirs").warning("broken: %s", number)
    assert len(stream.getvalue().splitlines()) == 2 * AT_ONCE


def test_actors_events_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs()
    logging.getLogger("actors").warning("%s: %s ended", "a", "b", extra={"event_name": "ended"})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["message"]) == ("ended", "a: b ended")
