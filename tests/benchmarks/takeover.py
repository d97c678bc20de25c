"""A client of a gateway, which kills the leader and notes what it receives then. See `scale`.

python -m tests.benchmarks.takeover '{"port": ..., "pid": ..., "how": "kill -9", ...}'
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import httpx
import trio
import trio_websocket

SETTLE = 5.0  # seconds before the leader is killed
MOST = 0.9
SIGNALS = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}


class Watcher:
    def __init__(self, series: list[str]) -> None:
        self.series = series
        self.charts: dict[str, tuple[int, bool]] = {}
        self.faults: list[str] = []
        self.killed_at: float | None = None
        self.since: dict[str, float] = {}
        """When each series was first updated after that."""
        self.quiet_from: float | None = None
        self.last = 0.0
        self.stale: float | None = None

    def receive(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        if message["type"] == "status" and self.killed_at and message["feed"] == "stale":
            self.stale = self.stale or now - self.killed_at
        if message["type"] not in ("candle", "snapshot"):
            return
        name = f"{message['symbol']} {message['interval']}"
        if message["type"] == "snapshot":
            if message["candles"]:
                self.charts[name] = message["candles"][-1]["time"], message["closed"]
            return
        self._compare(name, message)
        if self.killed_at is not None and now > self.killed_at + 1:
            self.since.setdefault(name, now - self.killed_at)
        self.last = now

    def _compare(self, name: str, message: dict[str, Any]) -> None:
        moment, is_closed = message["candle"]["time"], message["closed"]
        known, was_closed = self.charts.get(name, (0, True))
        if message.get("corrected"):
            return
        if moment < known or (moment == known and was_closed):
            self.faults.append(f"{name} {moment}: after {known}, closed: {was_closed}")
        if moment > known and not was_closed:
            self.faults.append(f"{name} {moment}: {known} was not closed")
        self.charts[name] = moment, is_closed


async def run(job: dict[str, Any]) -> dict[str, Any]:
    watcher = Watcher(job["series"])
    compared: float | None = None
    address = f"ws://127.0.0.1:{job['port']}/ws/candles"
    async with trio_websocket.open_websocket_url(
        address, max_message_size=2**24
    ) as websocket, trio.open_nursery() as nursery:  # fmt: skip

        async def listen() -> None:
            while True:
                watcher.receive(json.loads(await websocket.get_message()))

        wanted = [
            {"symbol": symbol, "interval": interval, "snapshot": 1}
            for symbol, interval in map(str.split, job["series"])
        ]
        for first in range(0, len(wanted), 500):
            request = {"action": "subscribe", "subscriptions": wanted[first : first + 500]}
            await websocket.send_message(json.dumps(request))
        nursery.start_soon(listen)
        await trio.sleep(SETTLE)
        watcher.killed_at = time.monotonic()
        os.kill(job["pid"], SIGNALS[job["how"]])
        async with httpx.AsyncClient(trust_env=False) as http:
            end = trio.current_time() + job["seconds"]
            while trio.current_time() < end:
                await trio.sleep(0.5)
                answer = await http.get(f"http://127.0.0.1:{job['standby']}/system", timeout=30)
                if compared is None and answer.json()["store"]["comparisons"]:
                    compared = time.monotonic() - watcher.killed_at
        nursery.cancel_scope.cancel()
    if job["how"] == "SIGSTOP":
        os.kill(job["pid"], signal.SIGCONT)
    waits = sorted(watcher.since.values())
    place = int(MOST * len(job["series"])) - 1
    return {
        "first": waits[0] if waits else 1e9,
        "most": waits[place] if len(waits) > place else 1e9,
        "updated": len(waits),
        "stale": watcher.stale,
        "compared": compared,
        "faults": watcher.faults[:10],
    }


if __name__ == "__main__":
    print(json.dumps(trio.run(run, json.loads(sys.argv[1]))))
