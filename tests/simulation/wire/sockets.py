"""Sockets for redis-py that lead to the servers of a site, in virtual time."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from math import inf
from typing import Any, Protocol

import trio

from .greenlets import sleep, wait_for
from .keyspace import ReplyError, Status
from .server import Server, Session
from .site import SENTINELS, Site

LATENCY = 0.0005  # seconds, of each direction
CUT_INTERVAL = 0.1  # seconds between two tries to get a packet through


class Route(Protocol):
    """The way of one process to the servers."""

    @property
    def is_cut(self) -> bool: ...

    @property
    def is_dead(self) -> bool: ...


class BlockingSocket:
    """As far as redis-py uses one; requests are answered when the answer is waited for."""

    def __init__(self, peer: Server | Site, route: Route) -> None:
        """`peer` is a site for its Sentinels."""
        self._peer = peer
        self._route = route
        self._session = Session(peer) if isinstance(peer, Server) else None
        self._timeout: float | None = None
        self._unread = bytearray()
        self._partial = bytearray()
        self._requests: list[list[bytes]] = []
        self._is_closed = False

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def shutdown(self, how: int) -> None:
        self._is_closed = True

    def close(self) -> None:
        self._is_closed = True

    @property
    def _is_lost(self) -> bool:
        is_reset = (
            isinstance(self._peer, Server)
            and self._session is not None
            and (not self._peer.is_running or self._peer.generation != self._session.generation)
        )
        return self._is_closed or self._route.is_dead or is_reset

    def sendall(self, data: bytes) -> None:
        if self._is_lost:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self._partial += data
        self._requests += _requests_in(self._partial)

    def recv(self, size: int) -> bytes:
        if not self._unread:
            if self._is_lost:
                return b""
            if self._timeout == 0:
                raise BlockingIOError(errno.EWOULDBLOCK, "nothing to read")
            wait_for(self._wait_for_answer)
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    async def _wait_for_answer(self) -> None:
        with trio.move_on_after(inf if self._timeout is None else self._timeout):
            while not self._unread:
                self._unread += await self._next_answer()
            return
        if isinstance(self._peer, Server) and not self._route.is_cut:
            self._peer.receive_late(self._requests)
        self._requests.clear()
        raise TimeoutError("timed out")

    async def _next_answer(self) -> bytes:
        await trio.sleep(2 * LATENCY)
        while self._route.is_cut or not self._requests:
            await trio.sleep(CUT_INTERVAL)
        if self._is_lost:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if not isinstance(self._peer, Server) or self._session is None:
            return _of_sentinel(self._peer, self._requests.pop(0))
        server = self._peer
        if server.delay:
            await trio.sleep(server.delay)
        while server.is_frozen and not self._is_lost:
            await server.changed.wait()
        if self._is_lost:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        reply = await server.answer(self._requests[0], self._session)
        self._requests.pop(0)
        if server.lose_answers:
            server.lose_answers -= 1
            await trio.sleep_forever()
        return encoded(reply)


def connect(site: Site, host: str, port: int, timeout: float, route: Route) -> BlockingSocket:
    """In a blocking call. Raises: OSError."""
    sleep(2 * LATENCY)
    if route.is_cut:
        sleep(timeout)
        raise TimeoutError("timed out")
    peer = site if (host, port) in SENTINELS else site.server_at(host, port)
    if peer is None or route.is_dead or (isinstance(peer, Server) and not peer.is_running):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    return BlockingSocket(peer, route)


def _of_sentinel(site: Site | Server, request: Sequence[bytes]) -> bytes:
    assert isinstance(site, Site)
    if b" ".join(request).upper() == b"SENTINEL MASTERS":
        return encoded(site.masters())
    return encoded(Status(b"OK"))


def _requests_in(data: bytearray) -> list[list[bytes]]:
    """Take the complete requests out of what was sent."""
    found: list[list[bytes]] = []
    while data:
        end = data.find(b"\r\n")
        if end < 0:
            break
        count, at, words = int(data[1:end]), end + 2, []
        for _ in range(count):
            end = data.find(b"\r\n", at)
            length = int(data[at + 1 : end]) if end > 0 else 0
            if end < 0 or len(data) < end + 4 + length:
                return found
            words.append(bytes(data[end + 2 : end + 2 + length]))
            at = end + 4 + length
        del data[:at]
        found.append(words)
    return found


def encoded(reply: Any) -> bytes:
    """In RESP2."""
    match reply:
        case None:
            return b"$-1\r\n"
        case ReplyError():
            return b"-" + str(reply).encode() + b"\r\n"
        case Status():
            return b"+" + bytes(reply) + b"\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
    return b"*%d\r\n" % len(reply) + b"".join(map(encoded, reply))
