"""What docs/getting-started.md shows of the terminal is what appears there, but for numbers.

Slow: it starts the service several times.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.ports import free_port
from tests.fakes.redis_server import RedisServer, redis_binary

from .blocks import blocks

PROGRAMS = Path(sys.executable).parent
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LIMIT = 60  # seconds

pytestmark = pytest.mark.slow


def shown_after(command: str) -> list[str]:
    """The lines of the block that follows the one that ends with `command`."""
    found = [block for block in blocks() if block.document == "docs/getting-started.md"]
    [place] = [at for at, block in enumerate(found) if block.text.rstrip().endswith(command)]
    assert found[place + 1].language == ""
    return found[place + 1].text.splitlines()


def pattern_of(line: str) -> re.Pattern[str]:
    """The line with any numbers, names of processes and lengths of bars."""
    text = re.escape(line)
    text = re.sub(r"leader=\S+", r"leader=\\S+", text)
    text = re.sub(r"[━╸╺]+", r"[━╸╺]+", text)
    text = re.sub(r"\d+", r"\\d+", text)
    return re.compile(re.sub(r"(\\ )+", r" +", text) + r"\s*")


@contextmanager
def on_a_terminal(command: str, port: int, directory: Path) -> Iterator[Lines]:
    """Run a command as it is shown, and collect its lines; it is interrupted at the end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SMARTTRADE_")}
    environment |= {"PORT": str(port), "COLUMNS": "160", "TERM": "xterm"}
    words = shlex.split(command.replace(".venv/bin/", f"{PROGRAMS}/"))
    while "=" in words[0]:
        name, value = words.pop(0).split("=")
        environment[name] = value
    main, side = pty.openpty()
    process = subprocess.Popen(words, cwd=directory, env=environment, stdout=side, stderr=side)
    os.close(side)
    os.set_blocking(main, False)
    lines = Lines(main)
    try:
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        os.close(main)


class Lines(list[str]):
    """What a program has written so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = ""

    def wait_for(self, expected: list[str], port: int) -> None:
        """Each line comes, in this order."""
        wanted = [pattern_of(line.replace(":8000", f":{port}")) for line in expected]
        deadline = time.monotonic() + LIMIT
        while True:
            self._read()
            found = iter(self)
            if all(any(each.fullmatch(line) for line in found) for each in wanted):
                return
            assert time.monotonic() < deadline, "\n".join([*expected, "is not in", *self])
            time.sleep(0.2)

    def _read(self) -> None:
        try:
            while chunk := os.read(self._descriptor, 65536):
                self._text += chunk.decode(errors="replace")
        except (BlockingIOError, OSError):
            pass
        self[:] = re.split(r"[\r\n]+", ESCAPES.sub("", self._text))


def test_a_chart_on_the_screen(tmp_path: Path) -> None:
    serve, tail = ".venv/bin/smarttrade serve --simulated", ".venv/bin/smarttrade tail BTCUSDT 1m"
    port = free_port()
    with on_a_terminal(serve, port, tmp_path) as served:
        served.wait_for(shown_after(serve), port)
        with on_a_terminal(tail, port, tmp_path) as tailed:
            tailed.wait_for(shown_after(tail), port)


def test_invalid_setting_is_named(tmp_path: Path) -> None:
    [line] = [
        each.text.strip()
        for each in blocks()
        if each.document == "docs/getting-started.md" and each.text.startswith("smarttrade: PORT")
    ]
    done = subprocess.run(
        [PROGRAMS / "smarttrade", "serve"],
        cwd=tmp_path,
        env=os.environ | {"PORT": "abc"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr.strip() == line


def test_with_redis(tmp_path: Path) -> None:
    command = "REDIS_URL=redis://localhost:6379 .venv/bin/smarttrade serve"
    with RedisServer(redis_binary(), tmp_path) as redis:
        url = f"redis://localhost:{redis.port}"
        here = command.replace("redis://localhost:6379", url)
        with on_a_terminal(here, free_port(), tmp_path) as served:
            expected = [line.replace("localhost:6379", url[8:]) for line in shown_after(command)]
            served.wait_for(expected, 0)
