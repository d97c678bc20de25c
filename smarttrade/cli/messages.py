"""Messages for the user of a command: on standard error, in the format of the log."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ..telemetry.logs import writes_json


def printable(value: Any) -> Any:
    """`value` with every text in it safe for a terminal: a server may send escape sequences."""
    match value:
        case str():
            return value if value.isprintable() else value.encode("unicode_escape").decode()
        case dict():
            return {printable(name): printable(each) for name, each in value.items()}
        case list():
            return [*map(printable, value)]
        case _:
            return value


def message_line(text: str, *, level: str = "critical") -> str:
    """One line that says `text`, also where every line must be JSON."""
    if not writes_json():
        return f"smarttrade: {printable(text)}"
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = {"event": "message", "message": text, "level": level, "logger": "smarttrade"}
    return json.dumps({**event, "timestamp": now})


def print_message(text: str, *, level: str = "critical") -> None:
    """Print a line; a full or closed standard error is no reason to fail."""
    with suppress(OSError, ValueError):
        print(message_line(text, level=level), file=sys.stderr, flush=True)
