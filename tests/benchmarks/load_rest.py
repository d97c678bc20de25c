"""HTTP clients with persistent connections: raw protocols that repeat request and response.

A JSON job on the command line, a JSON result on standard output. Each connection walks through the
job's targets from a place of its own, so `targets` that are many enough are never in a cache.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from tests.benchmarks.exchange import microseconds
from tests.benchmarks.load import TOO_BUSY
from tests.benchmarks.processes import cpu_seconds, waited_seconds

LENGTH = b"content-length: "


class RestClient(asyncio.Protocol):
    def __init__(self, job: dict[str, Any], number: int) -> None:
        targets, headers = job["targets"], job.get("headers", "")
        # Start as far from the other clients as possible.
        begin = number * len(targets) // job["connections"]
        self._requests = [
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
            for target in targets[begin:] + targets[:begin]
        ]
        self.answers = 0
        self.bytes = 0
        self.status = b""
        self.times: list[int] = []
        self.lost = False
        self._left = 0
        self._head = b""
        self._asked = 0
        self._turn = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked = microseconds()
        self.transport.write(self._requests[self._turn])
        self._turn = (self._turn + 1) % len(self._requests)

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self.status = head[9:12]
            self._left = _length(head) - len(body)
        else:
            self._left -= len(data)
        self.bytes += len(data)
        if self._left <= 0:
            self.answers += 1
            self.times.append(microseconds() - self._asked)
            self._left = 0
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def _length(head: bytes) -> int:
    at = head.lower().find(LENGTH)
    return 0 if at < 0 else int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0])


async def run(job: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    askers = []
    for number in range(job["connections"]):
        _, asker = await loop.create_connection(
            lambda number=number: RestClient(job, number),  # type: ignore[misc]
            "127.0.0.1",
            job["port"],
        )
        askers.append(asker)
    await asyncio.sleep(job.get("settle", 1))
    for asker in askers:
        asker.answers, asker.bytes, asker.times = 0, 0, []
    pid = job["pid"]
    cpu, own, began = cpu_seconds(pid), time.process_time(), time.monotonic()
    waited = waited_seconds(pid)
    await asyncio.sleep(job["seconds"])
    seconds = time.monotonic() - began
    answers = sum(asker.answers for asker in askers)
    cpu = cpu_seconds(pid) - cpu
    own = (time.process_time() - own) / seconds
    times = sorted(time for asker in askers for time in asker.times)
    return {
        "answers": answers,
        "per_second": answers / seconds,
        "cpu": cpu,
        "cpu_each": cpu / max(1, answers),
        "waited": (waited_seconds(pid) - waited) / seconds,
        "bytes_each": sum(asker.bytes for asker in askers) / max(1, answers),
        "p50": times[len(times) // 2] / 1000 if times else float("nan"),
        "p99": times[len(times) * 99 // 100] / 1000 if times else float("nan"),
        "status": sorted({asker.status.decode() for asker in askers}),
        "lost": sum(asker.lost for asker in askers),
        "load": own,
        "load_is_bottleneck": own > TOO_BUSY,
    }


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
