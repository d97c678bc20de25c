"""The program as a process, with its own service or one that a test writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import smarttrade
from smarttrade.settings import VARIABLES

ROOT = Path(smarttrade.__file__).parent.parent
WITHIN = 120.0  # seconds; what a busy machine takes to start and end a process

PROGRAM = """
import sys, types
import smarttrade.cli.signals
smarttrade.cli.signals.STOP_TIMEOUT = 0.4
{service}
stub = types.ModuleType("smarttrade.service")
stub.run_service = run_service
sys.modules["smarttrade.service"] = stub
from smarttrade.__main__ import main
main()
"""


def start(
    tmp_path: Path, *arguments: str, service: str = "", **variables: str
) -> subprocess.Popen[str]:
    """Start the program, with `service` in place of the real one if that is given."""
    program = ["-m", "smarttrade"]
    if service:
        program = ["-c", PROGRAM.format(service=dedent(service))]
    usual = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=tmp_path,
        env={**usual, "PYTHONPATH": str(ROOT), "LOG_FORMAT": "text", **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Status, standard output, standard error."""
    try:
        out, err = process.communicate(timeout=WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def outcome(
    tmp_path: Path, *arguments: str, service: str = "", **variables: str
) -> tuple[int, str, str]:
    return finish(start(tmp_path, *arguments, service=service, **variables))


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.communicate())


def wait_started(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "SmartTrade serves" in line:
            return
    raise AssertionError(process.communicate())
