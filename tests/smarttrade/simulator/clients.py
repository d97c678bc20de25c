"""Clients that know nothing of the exchange's code: HTTP by h11, streams by trio-websocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from smarttrade.simulator import Exchange, serve_connection
from smarttrade.simulator.bar import Bar, merge
from smarttrade.simulator.calendar import DAY, Interval
from smarttrade.simulator.price_series import PriceSeries

START = 1_785_000_030_000  # 2026-07-25 17:20:30 UTC, in the middle of a minute
MINUTE = 60_000
LIMIT = 3 * DAY / 1000  # virtual seconds after which a test has failed


def exchange(**options: Any) -> Exchange:
    options.setdefault("start_ms", START)
    options.setdefault("symbols", ["BTCUSDT", "ETHUSDT", "ADAUSDT"])
    return Exchange(**options)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpClient:
    """One connection that is kept alive."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, target: str, body: bytes = b"", **headers_given: str
    ) -> Answer:
        if self._protocol.our_state is h11.DONE:
            self._protocol.start_next_cycle()
        given = {name.replace("_", "-"): value for name, value in headers_given.items()}
        fields = {"Host": "exchange", "Content-Length": str(len(body))} | given
        headers = list(fields.items())
        request = h11.Request(method=method, target=target.encode(), headers=headers)
        sent = (self._protocol.send(request) or b"") + (
            self._protocol.send(h11.Data(data=body)) or b""
        )
        await self._stream.send_all(sent + (self._protocol.send(h11.EndOfMessage()) or b""))
        head = await self._event()
        assert isinstance(head, h11.Response)
        received = b""
        while isinstance(event := await self._event(), h11.Data):
            received += event.data
        answered = {name.decode(): value.decode() for name, value in head.headers}
        return Answer(head.status_code, answered, received)

    async def _event(self) -> Any:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(bytes(await self._stream.receive_some()))
        return event


@asynccontextmanager
async def http_client(venue: Exchange, peer: str = "memory") -> AsyncIterator[HttpClient]:
    ours, theirs = memory_stream_pair()
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_connection, venue, theirs, peer)
            yield HttpClient(ours)
            nursery.cancel_scope.cancel()


async def get(venue: Exchange, target: str) -> Answer:
    async with http_client(venue) as client:
        return await client.ask("GET", target)


@asynccontextmanager
async def stream_client(
    venue: Exchange, resource: str, peer: str = "memory"
) -> AsyncIterator[WebSocketConnection]:
    ours: Any  # trio-websocket names the streams of sockets only, and takes any
    ours, theirs = memory_stream_pair()
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_connection, venue, theirs, peer)
            connection = await wrap_client_stream(
                nursery, ours, "exchange", resource, message_queue_size=4096
            )
            yield connection
            nursery.cancel_scope.cancel()


def handshake(resource: str) -> bytes:
    return (
        f"GET {resource} HTTP/1.1\r\nHost: exchange\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


@asynccontextmanager
async def bare_client(venue: Exchange, resource: str) -> AsyncIterator[trio.abc.Stream]:
    """A client that shakes hands, and then answers nothing."""
    ours, theirs = memory_stream_pair()
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_connection, venue, theirs)
            await ours.send_all(handshake(resource))
            yield ours
            nursery.cancel_scope.cancel()


async def receive_for(connection: WebSocketConnection, seconds: float) -> list[Any]:
    """All messages of the next so many seconds, decoded."""
    received = []
    with trio.move_on_after(seconds):
        while True:
            received.append(json.loads(await connection.get_message()))
    return received


async def close_code(connection: WebSocketConnection) -> int:
    """Listen until the connection ends; the close code."""
    try:
        while True:
            await connection.get_message()
    except ConnectionClosed as end:
        return end.reason.code if end.reason else 0


def as_row(kline: dict[str, Any]) -> tuple[Any, ...]:
    """A stream's `k` object in REST's order."""
    return tuple(kline[name] for name in "tohlcvTqnVQB")


def every_part(prices: PriceSeries, start: int, interval: Interval, parts: Interval) -> list[Bar]:
    bars, end = [], interval.following(start)
    while start < end:
        bars.append(prices.bar(start, parts.following(start)))
        start = parts.following(start)
    return bars


def merged(bars: list[Bar]) -> Bar:
    return merge(bars)
