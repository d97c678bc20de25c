"""Checks a running backend: does every configured symbol have candles?

    python3 tests/integration_check_streaming.py --base-url http://127.0.0.1:8000

Reads `/streaming/status`. Exits 0 when every symbol has candles in at least one interval, 1 when
one has none (a line names each), 2 when the backend cannot be asked. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

REQUEST_TIMEOUT = 10.0  # seconds for one answer
POLL_INTERVAL = 0.5  # seconds between two tries with --timeout


def main() -> int:
    parser = argparse.ArgumentParser(description="Check that a running backend has candles.")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument(
        "--timeout", type=float, default=0.0, help="seconds to keep trying (default: ask once)"
    )
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.timeout
    while True:
        status, lines = check(arguments.base_url)
        if status == 0 or time.monotonic() >= until:
            break
        time.sleep(POLL_INTERVAL)
    print("\n".join(lines))
    return status


def check(base_url: str) -> tuple[int, list[str]]:
    """The exit status, and the lines to print."""
    url = base_url.rstrip("/") + "/streaming/status"
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_TIMEOUT) as answer:
            status: dict[str, Any] = json.load(answer)
        symbols, entries = status["symbols"], status["per_symbol"]
        have = {entry["symbol"] for entry in entries if entry["count"] > 0}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return 2, [f"{url}: {error}"]
    missing = [symbol for symbol in symbols if symbol not in have]
    if missing or not symbols:
        return 1, [f"{symbol}: no candles in any interval" for symbol in missing] or ["no symbols"]
    return 0, [f"{len(symbols)} symbols have candles, in {len(entries)} series"]


if __name__ == "__main__":
    sys.exit(main())
