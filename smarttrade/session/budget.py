"""What clients are charged for the work that they cause: all costs in one place.

A unit is one HTTP request, about a millisecond of the processor. Everything else that a client can
cause is charged in the same unit, by what it costs us and not by what it costs the client.
docs/security.md has the table.

A connection has a budget of its own and, unless it comes from this machine, shares another with all
connections of its address:

* Requests and pieces (frames and reads) are paid beforehand. A connection that sends more than its
  own budget allows floods, and is closed with 1008. When the budget of its address is used up, an
  HTTP request is answered with 429, and a session is closed with 1013.
* Answers are paid afterwards, when their size is known. The first is always given, whatever its
  size; a session in debt is read again when the debt is paid.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum
from weakref import WeakKeyDictionary

import trio

from ..token_bucket import TokenBucket
from .session_limits import SessionLimits

REQUEST = 1.0
"""An HTTP request. Through Quart it takes 0.6 to 1 ms; less on the fast path."""

HEAD_BYTES_PER_UNIT = 2048
"""Of a request's head, the first free: 3000 headers in 15 KB take 6 ms, and so do the parts of one
long header. A browser's head is less than 2 KB without cookies."""

HANDSHAKE = 5.0
"""A WebSocket: its tasks, its session, and their end; 3 to 5 ms."""

TLS = 1.0
"""A TLS handshake: a signature, 0.1 to 1 ms, as the key is."""

MESSAGE = 0.2
"""A request in a session, whatever it asks for; 0.1 to 0.2 ms. The connection's own budget counts
it as one request, as the limits of a session do."""

FRAME = 0.02
"""A frame of any kind and size: parsed in Python in 10 to 20 µs."""

READ = 0.02
"""A read of the socket beyond the first of a request: a byte in a packet of its own takes a system
call and a turn of the loop."""

ENTRY = 0.02
"""A subscription in a request, understood or not: 10 to 20 µs, and 100 bytes of answer."""

BYTES_PER_UNIT = 256 * 1024
"""Of answers: 60 series with 1000 candles each are 6.6 MB, or 26 units."""

INCLUDED_BYTES = 4096
"""Of an answer, for which nothing is charged beside the request."""

FRAMES_PER_TURN = 16
"""Frames of one read that are handled before other connections have their turn; 0.3 ms."""

CANDLES_PER_TURN = 2000
"""Of snapshots that are encoded and sent before other connections have their turn; 0.4 ms. Twice as
many each time for a client that reads at once, since each turn also waits for the hub."""

MAX_CANDLES_PER_TURN = 8000
"""1.6 ms."""


def head_cost(size: int) -> float:
    """What so many bytes of a head are charged, beside the request itself."""
    return size // HEAD_BYTES_PER_UNIT


class Verdict(Enum):
    PAID = "paid"
    FLOODING = "flooding"  # more than this connection may
    ADDRESS_EXHAUSTED = "address exhausted"  # more than all connections of the address may


class Turns:
    """Lets one of many connections that have something to do go on in each turn of the loop.

    All others wait for one of them then, and not for all. Those of one address wait for each other
    first, so that at most one of each address is in the queue.
    """

    def __init__(self) -> None:
        self._lock = trio.Lock()
        self._of_address = WeakKeyDictionary[TokenBucket, trio.Lock]()

    async def take(self, address: TokenBucket | None = None) -> None:
        """Return when it is the caller's turn. `address` is the budget of its address."""
        async with self.taken(address):
            pass

    @asynccontextmanager
    async def taken(self, address: TokenBucket | None = None) -> AsyncGenerator[None]:
        """The same; no other connection of the address has a turn before the block ends."""
        if address is None:
            await self._take()
            yield
            return
        async with self._of_address.setdefault(address, trio.Lock()):
            await self._take()
            yield

    async def _take(self) -> None:
        async with self._lock:
            await trio.lowlevel.checkpoint()


class Budget:
    """What one connection may still cause. `now` is in seconds of any steady clock."""

    __slots__ = ("_answers", "_pieces", "_requests", "_turns", "address")

    def __init__(self, limits: SessionLimits, turns: Turns | None = None) -> None:
        self._requests = TokenBucket(limits.burst, limits.requests_per_second)
        self._pieces = TokenBucket(limits.burst, limits.requests_per_second)
        self._answers = TokenBucket(limits.burst, limits.requests_per_second)
        self.address: TokenBucket | None = None
        """Shared by the connections of one address; None where there is no such limit."""
        self._turns = turns or Turns()

    def spend_message(self, now: float) -> Verdict:
        """Pay for a request in a session."""
        return self._spend(self._requests, now, 1, MESSAGE)

    def spend_piece(self, now: float, cost: float) -> Verdict:
        """Pay for a frame or a read."""
        return self._spend(self._pieces, now, cost, cost)

    def take(self, now: float, cost: float) -> bool:
        """Pay for something that only the address pays for."""
        return self.address is None or self.address.take(now, cost)

    def debit(self, cost: float) -> None:
        """Charge for something that has been done."""
        self._answers.debit(cost)
        if self.address is not None:
            self.address.debit(cost)

    def debit_bytes(self, size: int) -> None:
        """Charge for an answer."""
        if size > INCLUDED_BYTES:
            self.debit((size - INCLUDED_BYTES) / BYTES_PER_UNIT)

    async def take_turn(self) -> None:
        """Wait before something is done for the client, so that others go on meanwhile."""
        await self._turns.take(self.address)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """The same for what other actors do; one for each address at a time."""
        return self._turns.taken(self.address)

    async def settle(self) -> None:
        """Return when the connection is not in debt for answers."""
        if debt := self._answers.debt(trio.current_time()):
            await trio.sleep(debt)

    def _spend(self, own: TokenBucket, now: float, cost: float, address_cost: float) -> Verdict:
        if not own.take(now, cost):
            return Verdict.FLOODING
        return Verdict.PAID if self.take(now, address_cost) else Verdict.ADDRESS_EXHAUSTED
