"""The requests of a start and nothing else: prints the seconds they took.

By the same HTTP client with as many connections, and no answer is even looked at.
"""

from __future__ import annotations

import sys

import httpx
import trio

from tests.benchmarks.processes import INTERVALS, SYMBOLS

CONNECTIONS = 20


async def main(url: str) -> float:
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as http:
        began = trio.current_time()
        names = ",".join(f'"{symbol}"' for symbol in SYMBOLS)
        await http.get(f"{url}/api/v3/exchangeInfo", params={"symbols": f"[{names}]"})

        async def read(symbol: str, interval: str) -> None:
            query = {"symbol": symbol, "interval": interval, "limit": "1000"}
            await http.get(f"{url}/api/v3/klines", params=query)

        async with trio.open_nursery() as nursery:
            for symbol in SYMBOLS:
                for interval in INTERVALS:
                    nursery.start_soon(read, symbol, interval)
        return trio.current_time() - began


if __name__ == "__main__":
    print(trio.run(main, sys.argv[1]))
