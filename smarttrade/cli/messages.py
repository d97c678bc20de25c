"""Messages for the user of a command: on standard error, in the format of the log."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime

from ..telemetry.logs import writes_json


def message_line(text: str, *, level: str = "critical") -> str:
    """One line that says `text`, also where every line must be JSON."""
    if not writes_json():
        return f"smarttrade: {text}"
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = {"event": "message", "message": text, "level": level, "logger": "smarttrade"}
    return json.dumps({**event, "timestamp": now})


def print_message(text: str, *, level: str = "critical") -> None:
    """Print a line; a full or closed standard error is no reason to fail."""
    with suppress(OSError, ValueError):
        print(message_line(text, level=level), file=sys.stderr, flush=True)
