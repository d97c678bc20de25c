"""What happened, in order: a digest of all of it, and the lines worth reading."""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import structlog

from .deterministic import virtual_time

LINES_KEPT = 4000
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


class Trace:
    """Two runs are the same when their digests are."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._digest = sha256()
        self.bytes = 0

    def note(self, who: str, what: str) -> None:
        """Something that a reader of the trace looks for."""
        line = f"{virtual_time():12.3f} {who:<12} {_ADDRESS.sub('0x', what)}"
        self.lines.append(line)
        self._digest.update(line.encode())

    def data(self, who: str, data: bytes) -> None:
        """What went over a connection; only the digest has it."""
        self._digest.update(f"{virtual_time():.6f} {who} ".encode())
        self._digest.update(data)
        self.bytes += len(data)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:16]


class _Handler(logging.Handler):
    def __init__(self, receive: LogReceiver) -> None:
        super().__init__()
        self._receive = receive

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._receive("actors", record.getMessage(), error)


class LogReceiver:
    """Receives what the service logs."""

    def __call__(self, who: str, what: str, error: BaseException | None) -> None:
        raise NotImplementedError


@contextmanager
def logs_to(receive: LogReceiver) -> Iterator[None]:
    """Within the block, what is logged goes there and nowhere else."""

    def process(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        error = event.pop("exc_info", None)
        if error is True:
            error = sys.exc_info()[1]
        name = event.pop("event")
        level = event.pop("level", "")
        words = " ".join(f"{key}={value}" for key, value in sorted(event.items()))
        receive(
            level or "log", f"{name} {words}", error if isinstance(error, BaseException) else None
        )
        raise structlog.DropEvent

    handler = _Handler(receive)
    actors = logging.getLogger("actors")
    before = actors.propagate, actors.level
    actors.addHandler(handler)
    actors.propagate = False
    actors.setLevel(logging.INFO)
    structlog.configure(
        processors=[process],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        actors.removeHandler(handler)
        actors.propagate, actors.level = before
        structlog.reset_defaults()
