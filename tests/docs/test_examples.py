"""The examples of the documentation do what it describes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.browser.processes import Service, eventually
from tests.browser.relay import Relay

from .blocks import ROOT, blocks, commands, example

HOST = "127.0.0.1:8000"
MINUTE = 60  # seconds
PYTHON_CLIENT = ROOT / "clients" / "python"
RUN = {"history.py", "follow.py", "least.js", "series.js", "follow.mjs", "chart.html"}
RUN |= {"blocking.py", "with_asyncio.py", "with_trio.py", "table.py"}
RUN |= {"series.ts"}  # tests/clients
NODE = shutil.which("node")
CURLS = sorted(set(commands("curl")))


def placed(text: str, url: str) -> str:
    """The same for a service that is somewhere else."""
    assert HOST in text
    return text.replace(HOST, url.removeprefix("http://"))


def saved(directory: Path, name: str, url: str) -> Path:
    file = directory / name
    file.write_text(placed(example(name).text, url), "utf-8")
    return file


@contextmanager
def running(*command: str, cwd: Path) -> Iterator[list[str]]:
    """Run a program until the block ends; the lines that it has printed so far."""
    lines: list[str] = []
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    reader.start()
    try:
        yield lines
        assert process.poll() is None, f"it exited:\n{''.join(lines)}"
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def printed_candles(lines: list[str]) -> list[tuple[int, float, bool]]:
    """Time, close and whether it is final, of each line that contains a candle."""
    pattern = re.compile(r"(\d+) ([\d.]+) (closed|forming|true|false)\n")
    found = [pattern.fullmatch(line) for line in list(lines)]
    return [(int(m[1]), float(m[2]), m[3] in ("closed", "true")) for m in found if m]


def newest_final(lines: list[str]) -> int:
    return max(time for time, _, is_closed in printed_candles(lines) if is_closed)


def closes(service: Service) -> dict[int, float]:
    """The close of every final candle."""
    *final, _ = service.candles("BTCUSDT", "1m")
    return {int(candle["time"]): candle["close"] for candle in final}


def assert_complete_and_equal(lines: list[str], service: Service) -> None:
    """All candles from the first to the last were printed, in order, with the final values of the API."""
    final: dict[int, float] = {}
    for time, close, is_closed in printed_candles(lines):
        assert time >= max(final, default=0), f"{time} comes after a later one was final"
        if is_closed:
            final[time] = close
    times = list(final)
    assert times == list(range(times[0], times[-1] + 1, MINUTE))
    expected = closes(service)
    assert final == {time: expected[time] for time in final}


def test_no_example_is_left_out() -> None:
    programs = [block for block in blocks() if block.language not in ("", "sh", "json")]
    assert {block.name for block in programs} == RUN


@pytest.mark.parametrize(("command", "document"), CURLS)
def test_curl_examples_are_answered(
    command: str, document: str, service: Service, tmp_path: Path
) -> None:
    words = shlex.split(placed(command, service.url))
    done = subprocess.run(
        [*words, "--fail", "--silent", "--show-error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    if "-o" in words:
        assert (tmp_path / words[words.index("-o") + 1]).stat().st_size > 0
    else:
        assert isinstance(json.loads(done.stdout), dict)


def test_history_in_python_is_the_complete_window(service: Service, tmp_path: Path) -> None:
    file = saved(tmp_path, "history.py", service.url)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    count, newest = re.fullmatch(r"(\d+) candles, the newest (.*)\n", done.stdout).groups()  # type: ignore[union-attr]
    # The window's oldest candles may go while the pages are read.
    assert 990 <= int(count) <= 1000
    time = json.loads(newest.replace("'", '"'))["time"]
    assert time in {candle["time"] for candle in service.candles("BTCUSDT", "1m")}


def python_programs() -> list[str]:
    """Examples that print until Ctrl-C."""
    return sorted(name for name in RUN if name.endswith(".py") and "follow" in example(name).text)


def test_history_is_a_table(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PYTHON_CLIENT))
    file = saved(tmp_path, "table.py", service.url)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    head, *rows = done.stdout.splitlines()
    assert head == "time,open,high,low,close,volume"
    assert len(rows) == 100
    truth = service.candles("BTCUSDT", "1h")[-50]
    assert ",".join(map(str, truth.values())) in rows


def test_followers_in_python_miss_nothing_after_a_lost_network(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PYTHON_CLIENT))
    with Relay(service.port) as relay, ExitStack() as stack:
        files = [saved(tmp_path, name, relay.url) for name in python_programs()]
        printed = [
            stack.enter_context(running(sys.executable, str(file), cwd=tmp_path)) for file in files
        ]
        eventually(
            lambda: all(len(printed_candles(lines)) > 500 for lines in printed),
            "a snapshot, and more",
        )
        relay.swallow()
        last = max(printed_candles(lines)[-1][0] for lines in printed)
        eventually(lambda: max(closes(service)) > last + 2 * MINUTE, "two candles later")
        missed = max(closes(service))
        assert all(printed_candles(lines)[-1][0] < missed for lines in printed)
        relay.pass_on()
        eventually(
            lambda: all(newest_final(lines) > missed for lines in printed),
            "they have reconnected, and continue",
        )
    for lines in printed:
        assert_complete_and_equal(lines, service)


@pytest.mark.parametrize("name", python_programs())
def test_ctrl_c_ends_an_example_without_a_traceback(
    name: str, service: Service, tmp_path: Path
) -> None:
    file = saved(tmp_path, name, service.url)
    process = subprocess.Popen(
        [sys.executable, str(file)],
        env={**os.environ, "PYTHONPATH": str(PYTHON_CLIENT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")


def node_arguments() -> list[str]:
    assert NODE is not None
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    has_websocket = int(version.removeprefix("v").partition(".")[0]) >= 22
    return [NODE] if has_websocket else [NODE, "--experimental-websocket", "--no-warnings"]


@pytest.mark.skipif(NODE is None, reason="there is no node: apt-get install nodejs")
@pytest.mark.parametrize("name", ["least.js", "follow.mjs"])
def test_follower_in_node_prints_the_candles_of_the_api(
    name: str, service: Service, tmp_path: Path
) -> None:
    (download,) = [command for command, _ in CURLS if "smarttrade-client.mjs" in command]
    subprocess.run(
        [*shlex.split(placed(download, service.url)), "--silent"], cwd=tmp_path, check=True
    )
    file = saved(tmp_path, name, service.url)
    with running(*node_arguments(), str(file), cwd=tmp_path) as lines:
        eventually(
            lambda: sum(closed for *_, closed in printed_candles(lines)) >= 3, "three final candles"
        )
    assert_complete_and_equal(lines, service)
