"""The exchange's streams in memory: connections that follow a script.

A *behaviour* is what the exchange does with one connection, from the first byte on. The fakes
speak through wsproto alone, so that they can also send what no well-behaved server would.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series

from .exchange_link import End, link

BTC = Series("BTCUSDT", Interval.MINUTE_1)
ETH = Series("ETHUSDT", Interval.MINUTE_1)
MINUTE = 60_000


def kline(
    series: Series = BTC,
    open_time: int = 0,
    close: float = 1.0,
    *,
    closed: bool = False,
    event_time: int | None = None,
) -> str:
    """A combined payload, as the exchange sends it."""
    event_time = open_time + 1 if event_time is None else event_time
    return json.dumps(
        {
            "stream": f"{series.symbol.lower()}@kline_{series.interval.value}",
            "data": {
                "e": "kline",
                "E": event_time,
                "s": series.symbol,
                "k": {
                    "t": open_time,
                    "T": series.interval.close_time(open_time),
                    "s": series.symbol,
                    "i": series.interval.value,
                    "f": 100,
                    "L": 200,
                    "o": "1.00000000",
                    "c": f"{close:.8f}",
                    "h": f"{max(close, 1.0):.8f}",
                    "l": "0.50000000",
                    "v": f"{close:.8f}",
                    "n": 100,
                    "x": closed,
                    "q": "1.00000000",
                    "V": "0.50000000",
                    "Q": "0.50000000",
                    "B": "0",
                },
            },
        }
    )


SHUTDOWN = json.dumps({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}})


class Peer:
    """The exchange's side of one connection."""

    def __init__(self, stream: End, url: str, number: int) -> None:
        self.stream = stream
        self.url = url
        self.number = number
        """Counts the connections to an exchange, from 0."""
        self.request: Request | None = None
        self.received: list[tuple[float, Event]] = []
        """What the client sent after the handshake, with times."""
        self._ws = WSConnection(ConnectionType.SERVER)

    @property
    def requests(self) -> list[tuple[float, Any]]:
        """The client's messages, decoded, with the times of their arrival."""
        return [(at, json.loads(e.data)) for at, e in self.received if isinstance(e, TextMessage)]

    @property
    def pongs(self) -> list[tuple[float, bytes]]:
        return [(at, bytes(e.payload)) for at, e in self.received if isinstance(e, Pong)]

    @property
    def pings(self) -> list[float]:
        return [at for at, e in self.received if isinstance(e, Ping)]

    async def receive_request(self) -> None:
        while self.request is None:
            data = await self.stream.receive_some()
            if not data:
                raise trio.BrokenResourceError
            self._ws.receive_data(data)
            for event in self._ws.events():
                assert isinstance(event, Request)
                self.request = event

    async def accept(self) -> None:
        await self.receive_request()
        await self.send(AcceptConnection())

    async def send(self, event: Event) -> None:
        await self.stream.send_all(self._ws.send(event))

    async def send_text(self, text: str) -> None:
        await self.send(TextMessage(text))

    async def receive(self, *, pong: bool = True, confirm: bool = True) -> None:
        """Receive until the client is gone; answer its pings and confirm its requests."""
        while True:
            data = await self.stream.receive_some()
            self._ws.receive_data(data or None)
            for event in self._ws.events():
                self.received.append((trio.current_time(), event))
                if isinstance(event, Ping) and pong:
                    await self.send(event.response())
                if isinstance(event, TextMessage) and confirm:
                    reply = {"result": None, "id": json.loads(event.data).get("id")}
                    await self.send_text(json.dumps(reply))
            if not data:
                return


Behaviour = Callable[[Peer], Awaitable[None]]


# Behaviours that never lead to a connection


async def silent(peer: Peer) -> None:
    """Accepts the TCP connection and never sends anything."""
    await trio.sleep_forever()


async def closing_before_handshake(peer: Peer) -> None:
    """Closes before the handshake is answered."""
    await peer.receive_request()
    await peer.stream.aclose()


def answering(raw: bytes) -> Behaviour:
    """Sends `raw` instead of a handshake response, and keeps the connection open."""

    async def answer(peer: Peer) -> None:
        await peer.receive_request()
        await peer.stream.send_all(raw)
        await trio.sleep_forever()

    return answer


def refusing(
    status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
) -> Behaviour:
    async def refuse(peer: Peer) -> None:
        await peer.receive_request()
        length = (b"content-length", str(len(body)).encode())
        await peer.send(RejectConnection(status, headers=[*headers, length], has_body=bool(body)))
        if body:
            await peer.send(RejectData(body))
        await trio.sleep_forever()

    return refuse


# Behaviours that do


async def listening(peer: Peer) -> None:
    """Accepts and answers pings; sends nothing else."""
    await peer.accept()
    await peer.receive()


def sending(*texts: str) -> Behaviour:
    """Accepts, sends all texts at once, and receives."""

    async def send(peer: Peer) -> None:
        await peer.accept()
        for text in texts:
            await peer.send_text(text)
        await peer.receive()

    return send


def closing(*texts: str, after: float = 0.0, code: int = 1001) -> Behaviour:
    """Sends texts, then a close frame, and leaves the TCP connection open."""

    async def close(peer: Peer) -> None:
        await peer.accept()
        for text in texts:
            await peer.send_text(text)
        await trio.sleep(after)
        await peer.send(CloseConnection(code))
        await trio.sleep_forever()

    return close


def resetting(after: float = 0.0) -> Behaviour:
    async def reset(peer: Peer) -> None:
        await peer.accept()
        with trio.move_on_after(after):
            await peer.receive()
        peer.stream.reset()

    return reset


def vanishing(after: float) -> Behaviour:
    """Becomes half-open: the link is cut without an error at either end."""

    async def vanish(peer: Peer) -> None:
        await peer.accept()
        with trio.move_on_after(after):
            await peer.receive()
        peer.stream.cut()
        await trio.sleep_forever()

    return vanish


class StreamExchange:
    """Follows its script: one behaviour per connection, and the last one for all others.

    Its connections live in `nursery`.
    """

    def __init__(self, nursery: trio.Nursery, *script: Behaviour) -> None:
        self.script = list(script or (listening,))
        self.dialled: list[tuple[float, str]] = []
        """Times and URLs of connections."""
        self.peers: list[Peer] = []
        self.ends: list[End] = []
        """The client's ends of all connections."""
        self.dial_takes = 0.0
        self.dial_fails: BaseException | None = None
        self._nursery = nursery

    async def dial(self, url: str) -> trio.abc.Stream:
        self.dialled.append((trio.current_time(), url))
        await trio.sleep(self.dial_takes)
        if self.dial_fails is not None:
            raise self.dial_fails
        number = len(self.peers)
        ours, theirs = link()
        peer = Peer(theirs, url, number)
        self.peers.append(peer)
        self.ends.append(ours)
        self._nursery.start_soon(self._follow, self.script[min(number, len(self.script) - 1)], peer)
        return ours

    async def _follow(self, behaviour: Behaviour, peer: Peer) -> None:
        try:
            await behaviour(peer)
        except* trio.BrokenResourceError:
            pass  # the client is gone

    @property
    def times(self) -> list[float]:
        """Times of connections."""
        return [at for at, _ in self.dialled]

    @property
    def open(self) -> Sequence[Peer]:
        return [peer for peer, end in zip(self.peers, self.ends, strict=True) if not end.is_closed]
