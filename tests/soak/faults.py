"""What goes wrong around the service, in turn."""

from __future__ import annotations

import signal

import trio

from tests.fakes.processes import Program
from tests.fakes.redis_server import RedisServer

FAULT_INTERVAL = 60.0  # seconds
FAULT_DURATION = 8.0  # seconds


class Faults:
    def __init__(self, exchange: Program, redis: RedisServer) -> None:
        self._exchange = exchange
        self._redis = redis
        self.begun: list[tuple[float, str]] = []
        """When, by the loop's clock, and which."""

    async def run(self) -> None:
        kinds = [
            *(self._exchange_hangs, self._redis_restarts),
            *(self._redis_hangs, self._exchange_restarts),
        ]
        while True:
            for kind in kinds:
                await trio.sleep(FAULT_INTERVAL - FAULT_DURATION)
                self.begun.append((trio.current_time(), kind.__name__.strip("_")))
                await kind()

    async def _exchange_hangs(self) -> None:
        self._exchange.send(signal.SIGSTOP)
        await trio.sleep(FAULT_DURATION)
        self._exchange.send(signal.SIGCONT)

    async def _exchange_restarts(self) -> None:
        self._exchange.kill()
        await trio.sleep(FAULT_DURATION)
        self._exchange.start()

    async def _redis_hangs(self) -> None:
        self._redis.freeze()
        await trio.sleep(FAULT_DURATION)
        self._redis.thaw()

    async def _redis_restarts(self) -> None:
        self._redis.kill()
        await trio.sleep(FAULT_DURATION)
        self._redis.start()
