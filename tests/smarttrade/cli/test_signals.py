"""Signals ask for an ordered stop, and end a process that does not stop."""

from __future__ import annotations

import signal
from pathlib import Path
from textwrap import dedent

import pytest

from tests.smarttrade.cli.program import WITHIN, finish, outcome, start, wait_for, wait_started

OBEDIENT = """
import trio
async def run_service(settings, *, stop, task_status, **_):
    task_status.started()
    await stop.wait()
    print("stopped in order", flush=True)
"""

STUBBORN = """
import trio
async def run_service(settings, *, stop, task_status, **_):
    task_status.started()
    await stop.wait()
    print("asked", flush=True)
    await trio.sleep_forever()
"""

FROZEN = """
import time
async def run_service(settings, *, task_status, **_):
    task_status.started()
    time.sleep(1000)
"""

BUSY = """
async def run_service(settings, *, task_status, **_):
    task_status.started()
    while True:
        pass
"""

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks_for_an_ordered_stop(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "serve", service=OBEDIENT)
    wait_started(process)
    process.send_signal(number)
    status, out, err = finish(process)
    assert (status, out) == (0, "stopped in order\n")
    assert "Traceback" not in err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, number: signal.Signals) -> None:
    service = f"smarttrade.cli.signals.STOP_TIMEOUT = 1000\n{dedent(STUBBORN)}"
    process = start(tmp_path, "serve", service=service)
    wait_started(process)
    process.send_signal(signal.SIGTERM)
    wait_for(process, "asked")
    process.send_signal(number)
    assert finish(process) == (128 + number, "", "")


def test_a_second_signal_ends_even_a_frozen_process(tmp_path: Path) -> None:
    service = f"smarttrade.cli.signals.STOP_TIMEOUT = 1000\n{dedent(FROZEN)}"
    process = start(tmp_path, "serve", service=service)
    wait_started(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status in (130, 143)  # the kernel hands out two that wait in the order of their numbers
    assert err == ""


@pytest.mark.parametrize("service", [STUBBORN, FROZEN, BUSY])
def test_a_stop_that_takes_too_long_is_ended_with_the_reason(tmp_path: Path, service: str) -> None:
    process = start(tmp_path, "serve", service=service)
    wait_started(process)
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == 70
    assert err.startswith("smarttrade: not stopped after 0.4 s, ending now")
    assert "KeyboardInterrupt" not in err


def test_the_reason_names_the_line_that_was_frozen(tmp_path: Path) -> None:
    service = """
    import time
    def the_culprit():
        time.sleep(1000)
    async def run_service(settings, *, task_status, **_):
        task_status.started()
        the_culprit()
    """
    process = start(tmp_path, "serve", service=service)
    wait_started(process)
    process.send_signal(signal.SIGTERM)
    assert "in the_culprit" in finish(process)[2]


def test_a_stop_that_takes_too_long_is_ended_though_the_output_is_blocked(
    tmp_path: Path,
) -> None:
    service = """
    import os
    async def run_service(settings, *, task_status, **_):
        task_status.started()
        while True:
            os.write(2, b"x" * 65536)
    """
    process = start(tmp_path, "serve", service=service)
    wait_started(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WITHIN) == 70
    finish(process)


def test_a_signal_while_the_service_starts_is_not_lost(tmp_path: Path) -> None:
    service = """
    import os, signal
    async def run_service(settings, *, stop, **_):
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        print("stopped before it had started", flush=True)
    """
    status, out, _ = outcome(tmp_path, "serve", service=service)
    assert (status, out) == (0, "stopped before it had started\n")
