"""What the program prints where, and outputs that are full, blocked or closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from smarttrade.settings import VARIABLES
from tests.smarttrade.cli.program import PROGRAM, ROOT, WITHIN, outcome, start

TALKING = """
import warnings
async def run_service(settings, *, task_status, **_):
    task_status.started()
    warnings.warn("a library complains", stacklevel=1)
    raise actors.Fatal("the port is taken")
import actors
"""


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--port", "x"), ("gateway",)])
def test_every_line_is_json_when_that_is_asked_for(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    variables = {"SMARTTRADE_SYMBOL": "x", "SMARTTRADE_LEASE": "5", "LOG_FORMAT": "json"}
    if arguments == ("gateway",):
        variables["USE_MEMORY_STORE"] = "1"
    status, out, err = outcome(tmp_path, *arguments, service=TALKING, **variables)
    assert status != 0
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert all(line["level"] for line in lines)
    assert lines[-1]["event"] == "message"


def shell(tmp_path: Path, command: str, service: str = "") -> tuple[int, str]:
    """Status and standard error of a shell command, in which `$PROGRAM` is the program."""
    code = PROGRAM.format(service=dedent(service)) if service else ""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name not in VARIABLES},
            "PYTHONPATH": str(ROOT),
            "CODE": code,
            "PYTHON": sys.executable,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "redirections",
    [
        *(">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"),
        *(">&-", "2>&-", "<&- >&- 2>&-"),
    ],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_service_survives_outputs_that_are_full_or_closed(
    tmp_path: Path, redirections: str, log_format: str
) -> None:
    service = """
    import structlog
    async def run_service(settings, *, task_status, **_):
        task_status.started()
        structlog.get_logger("app").warning("stopping")
    """
    command = f'LOG_FORMAT={log_format} "$PYTHON" -c "$CODE" serve {redirections}'
    status, err = shell(tmp_path, command, service)
    assert status == 0
    assert "Traceback" not in err


def test_answer_that_cannot_be_written_is_status_1_and_one_line(tmp_path: Path) -> None:
    command = '"$PYTHON" -m smarttrade check --memory >/dev/full'
    quick = "BINANCE_REST_URL=http://127.0.0.1:1 BINANCE_WS_URL=ws://127.0.0.1:1 "
    status, err = shell(tmp_path, quick + command)
    assert status == 1
    assert err.splitlines() == ["smarttrade: standard output: [Errno 28] No space left on device"]


def test_first_run_without_network_hints_at_the_simulator_once(tmp_path: Path) -> None:
    service = """
    import structlog
    async def run_service(settings, *, task_status, **_):
        task_status.started()
        for tries in range(5):
            structlog.get_logger("feed").warning("exchange_unavailable", error="no", tries=tries)
    """
    _, _, err = outcome(tmp_path, "serve", service=service)
    assert err.count("exchange_unavailable") == 1
    assert err.count("smarttrade serve --simulated") == 1
    _, _, err = outcome(tmp_path, "serve", "--simulated", service=service)
    assert "brings an exchange" not in err


def test_a_service_serves_though_its_output_is_blocked(tmp_path: Path) -> None:
    service = """
    import sys
    async def run_service(settings, *, task_status, **_):
        sys.stdin.read()
        task_status.started()
        print("served", file=sys.stderr)
    """
    process = start(tmp_path, "serve", service=service)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.close()
    process.stdin.close()
    with process:
        assert process.stderr is not None
        assert "served" in process.stderr.read()
        assert process.wait(WITHIN) == 0


def test_closed_output_ends_a_command_quietly(tmp_path: Path) -> None:
    nowhere = {"BINANCE_REST_URL": "http://127.0.0.1:1", "BINANCE_WS_URL": "ws://127.0.0.1:1"}
    with start(tmp_path, "check", "--memory", **nowhere) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(WITHIN) == 0
