from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from smarttrade.telemetry.logs import configure_logs
from smarttrade.telemetry.throttle import BURST, INTERVAL, MAX_EVENTS, LogThrottle


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


def passed(throttle: LogThrottle, count: int, msg: object = "it failed", **options: Any) -> int:
    return sum(throttle.filter(record(msg, **options)) for _ in range(count))


def test_event_is_written_a_few_times_and_then_once_in_a_while() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    assert passed(throttle, 1000) == BURST
    clock.now += INTERVAL
    assert passed(throttle, 1000) == 1
    written = 0
    for _ in range(600):
        clock.now += 1
        written += passed(throttle, 100)
    assert written == pytest.approx(600 / INTERVAL, abs=1)


def test_burst_is_available_again_after_a_quiet_time() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    passed(throttle, 1000)
    clock.now += BURST * INTERVAL
    assert passed(throttle, 1000) == BURST


def test_number_of_suppressed_lines_is_in_the_next_one() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    for number in range(BURST + 7):
        throttle.filter(record({"event": "failed", "series": f"x{number}"}))
    clock.now += INTERVAL
    admitted = record({"event": "failed", "series": "y"})
    assert throttle.filter(admitted)
    assert admitted.msg == {"event": "failed", "series": "y", "suppressed": 7}
    clock.now += INTERVAL
    next_one = record({"event": "failed"})
    assert throttle.filter(next_one)
    assert next_one.msg == {"event": "failed"}


def test_events_are_throttled_separately() -> None:
    throttle = LogThrottle(Clock())
    calm = logging.INFO
    assert passed(throttle, 100, {"event": "one"}, level=calm) == BURST
    assert passed(throttle, 100, {"event": "other"}, level=calm) == BURST
    assert passed(throttle, 100, {"event": "one"}, name="another logger", level=calm) == BURST
    assert passed(throttle, 100, "%s restarts", event="actor_restarting") == BURST
    assert passed(throttle, 100, "other words", event="actor_restarting") == 0


def test_warning_that_says_the_same_but_for_numbers_is_logged_once_a_minute() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    logged = []
    for second in range(130):
        for host in ("a", "b"):
            message = {"event": "down", "host": host, "tries": second, "timestamp": str(second)}
            if throttle.filter(record(message)):
                logged.append((second, host))
        clock.now += 1
    assert logged == [(second, host) for second in (0, 60, 120) for host in ("a", "b")]
    assert passed(throttle, 3, {"event": "down", "host": "c"}) == 1


def test_critical_records_always_pass() -> None:
    throttle = LogThrottle(Clock())
    assert all(throttle.filter(record("end", level=logging.CRITICAL)) for _ in range(1000))


def test_memory_is_bounded_whatever_is_logged() -> None:
    throttle = LogThrottle(Clock())
    for number in range(3 * MAX_EVENTS):
        throttle.filter(record(f"text {number}"))
    assert len(throttle._allowances) == MAX_EVENTS


def test_the_log_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs()
    log = structlog.get_logger("ours")
    for number in range(500):
        log.warning("history_unavailable", series=f"{number}m")
        logging.getLogger("theirs").warning("broken: %s", number)
    assert len(stream.getvalue().splitlines()) == 2 * BURST


def test_actors_events_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs()
    logging.getLogger("actors").warning("%s: %s ended", "a", "b", extra={"event_name": "ended"})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["message"]) == ("ended", "a: b ended")
