from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from smarttrade.cli.progress import LoggedProgress, open_progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def logged(steps: Sequence[tuple[float, int, int]]) -> list[tuple[object, ...]]:
    """What is logged when at each time so many of so many are done."""
    clock = Clock()
    progress = LoggedProgress(clock)
    with capture_logs() as lines:
        for at, done, total in steps:
            clock.now = 100.0 + at
            progress(done, total)
    return [
        (line["event"], line["series"], line.get("done", line.get("seconds"))) for line in lines
    ]


def test_start_and_end_are_logged_with_the_duration() -> None:
    assert logged([(0, 0, 60), (1.25, 60, 60)]) == [
        ("loading_history", 60, 0),
        ("history_loaded", 60, 1.2),
    ]


def test_progress_is_logged_after_two_seconds_and_a_tenth_more() -> None:
    steps = [(0, 0, 100), (1, 50, 100), (2, 51, 100), (3, 90, 100), (4, 90, 100), (5, 99, 100)]
    assert [done for _, _, done in logged(steps)] == [0, 51, 90]
    assert logged([(0, 0, 100), (10, 9, 100), (11, 10, 100)])[1:] == [("loading_history", 100, 10)]


def test_many_small_steps_are_few_lines() -> None:
    steps = [(i / 100, i, 1000) for i in range(1001)]  # ten seconds
    assert len(logged(steps)) <= 1 + 5 + 1


def test_a_second_load_is_timed_by_itself() -> None:
    steps = [(0, 0, 2), (1, 2, 2), (100, 0, 2), (103, 2, 2)]
    assert logged(steps)[-1] == ("history_loaded", 2, 3.0)


def test_a_load_that_is_done_at_once_is_not_logged() -> None:
    assert logged([(0, 5, 5), (1, 5, 5)]) == []
    assert logged([(0, 0, 0)]) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with capture_logs() as lines, open_progress() as progress:
        progress(0, 60)
        progress(30, 60)
        progress(60, 60)
        assert sys.stderr is terminal
    assert [line["event"] for line in lines] == ["history_loaded"]
    assert "60/60" in terminal.getvalue()


def test_the_bar_ends_when_the_service_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def serve() -> None:
        with open_progress() as progress:
            progress(0, 60)
            raise ValueError

    with pytest.raises(ValueError):
        serve()
    assert sys.stderr is terminal
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h")
