"""Log events: one line each, to standard error, in one format for our code and libraries.

Ours are written with structlog: a stable event name and fields; docs/operations.md lists the names.
Records of libraries that use `logging` go through the same renderer. Events that repeat are
throttled: see `throttle.py`.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .throttle import LogThrottle

LogFormat = Literal["auto", "text", "json"]

QUIET = ("httpx", "httpcore", "hpack", "quart.serving", "hypercorn.access", "asyncio")
"""Loggers that write a line per request, or details of their own implementation."""

MANY_LINES = ("exception", "stack")  # fields that structlog itself fills, with tracebacks


def configure_logs(level: str = "info", log_format: LogFormat = "auto") -> None:
    """Set up logging for this process; replaces what an earlier call has set up.

    `auto` is readable on a terminal, and JSON lines elsewhere.
    """
    logging.captureWarnings(capture=True)  # Python's warnings are lines of the log as well
    is_terminal = sys.stderr.isatty()
    colors = is_terminal and not os.environ.get("NO_COLOR")  # see https://no-color.org
    if log_format == "auto":
        log_format = "text" if is_terminal else "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Loggers are made when modules are imported, before this is called or called again.
        cache_logger_on_first_use=False,
    )
    rendering = _rendering(log_format, colors=colors)
    _route_logging(level, shared, rendering, is_json=log_format == "json")


def writes_json() -> bool:
    """Whether logging is set up, and every line of the log is JSON."""
    handlers = logging.getLogger().handlers
    return any(isinstance(each, _StandardError) and each.is_json for each in handlers)


def _rendering(log_format: LogFormat, *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    return [
        _on_one_line,
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _route_logging(
    level: str, shared: list[Processor], rendering: list[Processor], *, is_json: bool
) -> None:
    handler = _StandardError(is_json=is_json)
    handler.addFilter(LogThrottle())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _named],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one, _StandardError)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`: a progress bar replaces it for a while."""

    def __init__(self, *, is_json: bool) -> None:
        logging.Handler.__init__(self)
        self.is_json = is_json

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute in the base class
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Drop the record when standard error is closed or full: there is no place to report it."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def _named(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The event name of the actors' records, which are logged without structlog."""
    name = getattr(event.get("_record"), "event_name", None)
    return event if name is None else {**event, "event": name, "message": event["event"]}


def _on_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters: a text that a client chooses must not forge log lines."""
    return {key: value if key in MANY_LINES else _printable(value) for key, value in event.items()}


def _printable(value: Any) -> Any:
    if not isinstance(value, str) or value.isprintable():
        return value
    return value.encode("unicode_escape").decode()
