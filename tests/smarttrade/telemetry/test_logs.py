from __future__ import annotations

import io
import json
import logging
import re
import sys

import pytest
import structlog

from smarttrade.telemetry.logs import QUIET, configure_logs

log = structlog.get_logger("test.ours")  # made before it is configured, as in every module


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def standard_error(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None = None
) -> io.StringIO:
    """Not a fixture: pytest puts its own stream in place before each phase of a test."""
    stream = io.StringIO() if stream is None else stream
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs()
    log.info("feed", state="live", series=3)
    (line,) = lines(stderr)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", str(line.pop("timestamp")))
    assert line == {
        "event": "feed",
        "level": "info",
        "logger": "test.ours",
        "state": "live",
        "series": 3,
    }


def test_lines_are_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standard_error(monkeypatch, Terminal())
    configure_logs()
    log.info("feed", state="live")
    (line,) = terminal.getvalue().splitlines()
    assert not line.startswith("{")
    assert "feed" in line


def test_the_format_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standard_error(monkeypatch, Terminal())
    configure_logs(log_format="json")
    log.info("feed")
    assert lines(terminal)[0]["event"] == "feed"


def test_text_elsewhere_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs(log_format="text")
    log.error("feed", state="down")
    assert "\x1b" not in stderr.getvalue()
    assert "state=down" in stderr.getvalue()


def test_lines_of_libraries_have_the_same_format(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs()
    for name in ("actors", "hypercorn.error", "trio-websocket", "smarttrade.web.app"):
        logging.getLogger(name).warning("%s happened", "this")
    assert [(line["logger"], line["event"], line["level"]) for line in lines(stderr)] == [
        ("actors", "this happened", "warning"),
        ("hypercorn.error", "this happened", "warning"),
        ("trio-websocket", "this happened", "warning"),
        ("smarttrade.web.app", "this happened", "warning"),
    ]


def test_requests_of_libraries_are_not_logged_but_their_warnings_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs("debug")
    for name in QUIET:
        logging.getLogger(name).info("noise")
        logging.getLogger(name).warning("news")
    assert [line["event"] for line in lines(stderr)] == ["news"] * len(QUIET)


def test_less_important_lines_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs("warning")
    log.info("ours")
    logging.getLogger("actors").info("theirs")
    log.warning("important")
    assert [line["event"] for line in lines(stderr)] == ["important"]


def test_configured_twice_a_line_is_written_once_and_the_later_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs("error", "text")
    configure_logs("info", "json")
    log.info("ours")
    logging.getLogger("actors").info("theirs")
    assert [line["event"] for line in lines(stderr)] == ["ours", "theirs"]


def test_handlers_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    standard_error(monkeypatch)
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    configure_logs()
    assert other in logging.getLogger().handlers


def fail() -> None:
    try:
        raise ExceptionGroup("several", [ValueError("the reason")])  # noqa: TRY301
    except ExceptionGroup:
        log.exception("broke")
        logging.getLogger("actors").exception("broke")


def test_an_exception_is_one_json_line_with_its_whole_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs()
    fail()
    for line in lines(stderr):
        assert "ValueError: the reason" in str(line["exception"])
        assert "in fail" in str(line["exception"])


def test_an_exception_on_a_terminal_is_a_plain_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standard_error(monkeypatch, Terminal())
    configure_logs()
    fail()
    assert terminal.getvalue().count("ValueError: the reason") == 2
    assert "\n  |     raise ExceptionGroup" in terminal.getvalue()


def test_input_of_a_client_cannot_forge_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standard_error(monkeypatch, Terminal())
    configure_logs()
    log.info("refused", symbol="A\n2026-01-01 [info] forged", name="\x1b[31mred")
    logging.getLogger("actors").info("x\nforged")
    assert len(terminal.getvalue().splitlines()) == 2
    assert "\x1b[31mred" not in terminal.getvalue()


def test_colours_can_be_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standard_error(monkeypatch, Terminal())
    for no_color in ("1", ""):
        monkeypatch.setenv("NO_COLOR", no_color)
        configure_logs()
        log.info("feed")
    plain, coloured = terminal.getvalue().splitlines()
    assert "\x1b" not in plain
    assert "\x1b" in coloured


def test_lines_go_to_where_standard_error_is_at_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = standard_error(monkeypatch)
    configure_logs()
    moved = standard_error(monkeypatch)
    log.info("here")
    assert not stderr.getvalue()
    assert lines(moved)[0]["event"] == "here"


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_closed_log_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    standard_error(monkeypatch, Gone())
    configure_logs()
    log.error("unheard")
    assert not capfd.readouterr().err
