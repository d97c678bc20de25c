"""One client, and an exchange that sends as fast as its updates are read.

A JSON job on the command line, a JSON result on standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from tests.benchmarks.load import TOO_BUSY, Reader, connect
from tests.benchmarks.processes import Process, cpu_seconds, waited_seconds

QUIET_TIMEOUT = 1.0  # seconds after which nothing more is expected
POLL_INTERVAL = 0.02


async def run(job: dict[str, Any]) -> dict[str, Any]:
    latencies: list[int] = []
    [pid] = job["pids"]
    venue = Process(0, job["venue"], 0.0)
    await _until_listed(job)
    [client] = await connect(job, latencies, job["ports"])
    counter = client.counter
    assert isinstance(counter, Reader)
    await asyncio.sleep(2)
    frames, cpu, waited = counter.frames, cpu_seconds(pid), waited_seconds(pid)
    own, began = time.process_time(), time.monotonic()
    await asyncio.to_thread(venue.get, f"/flood?count={job['count']}")
    last, seen = began, frames
    while time.monotonic() < last + QUIET_TIMEOUT or counter.frames == frames:
        await asyncio.sleep(POLL_INTERVAL)
        if counter.frames != seen:
            last, seen = time.monotonic(), counter.frames
        if time.monotonic() > began + 120:
            break
    seconds = last - began
    own = (time.process_time() - own) / seconds
    return {
        "updates": job["count"],
        "frames": counter.frames - frames,
        "seconds": seconds,
        "cpu": cpu_seconds(pid) - cpu,
        "waited": (waited_seconds(pid) - waited) / seconds,
        "load": own,
        "load_is_bottleneck": own > TOO_BUSY,
    }


async def _until_listed(job: dict[str, Any]) -> None:
    """Wait for a page of candles: without updates no series is up to date, so `/ready` stays 503."""
    server = Process(0, job["ports"][0], 0.0)
    for _ in range(600):
        try:
            await asyncio.to_thread(server.get, "/candles/POLUSDT/1d?limit=1")
        except OSError:
            await asyncio.sleep(0.1)
        else:
            await asyncio.sleep(1)
            return
    raise TimeoutError("the server has no candles")


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
