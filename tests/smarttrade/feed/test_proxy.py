"""Through a proxy on loopback, in real time: a tunnel, and the ways in which there is none."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import pytest
import trio
from trio_websocket import WebSocketRequest, serve_websocket

from smarttrade.binance.hints import STREAM_VARIABLE
from smarttrade.feed.connection import Connection, run_connection
from smarttrade.feed.dial import dial
from smarttrade.feed.errors import StreamDown
from smarttrade.feed.hints import error_hint
from smarttrade.feed.proxy import ProxyError, proxy_for
from tests.fakes.exchange_streams import BTC, kline

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@dataclass
class Proxy:
    """Opens tunnels, unless `answer` says something else instead."""

    answer: bytes | None = None
    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._handle, [listener])

    async def _handle(self, client: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await client.receive_some()
            if not data:
                return
            head += data
        self.asked.append(head)
        if self.answer is not None:
            await client.send_all(self.answer)
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        server = await trio.open_tcp_stream(host.strip("[]"), int(port))
        await client.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with server, client, trio.open_nursery() as nursery:
            for source, sink in ((client, server), (server, client)):
                nursery.start_soon(_pump, source, sink, nursery)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, nursery: trio.Nursery) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    nursery.cancel_scope.cancel()


async def exchange(nursery: trio.Nursery) -> int:
    """Tells one candle to whoever connects."""

    async def tell(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message(kline(BTC, 0, 7.0))
        await trio.sleep_forever()

    async def serve(*, task_status: trio.TaskStatus[int]) -> None:
        async with trio.open_nursery() as inner:
            server = await inner.start(serve_websocket, tell, "127.0.0.1", 0, None)
            task_status.started(server.port)

    port: int = await nursery.start(serve)
    return port


async def hear_one(url: str) -> str | bytes:
    heard: list[str | bytes] = []

    async def talk(connection: Connection) -> None:
        heard.append(await connection.receive())

    with trio.fail_after(10):
        await run_connection(url, dial, talk)
    return heard[0]


def proxied(monkeypatch: pytest.MonkeyPatch, port: int, login: str = "") -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{login}127.0.0.1:{port}")


async def test_stream_goes_through_the_proxy(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, port = Proxy(), await exchange(nursery)
    await nursery.start(proxy.serve)
    proxied(monkeypatch, proxy.port, "me:s%40crt@")
    assert "7.0" in str(await hear_one(f"ws://127.0.0.1:{port}/stream?streams=btcusdt@kline_1m"))
    [asked] = proxy.asked
    assert asked.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
    assert base64.b64encode(b"me:s@crt") in asked
    nursery.cancel_scope.cancel()


async def test_proxy_that_comes_and_goes_is_followed_at_every_attempt(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, port = Proxy(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), 1
    await nursery.start(proxy.serve)
    port = await exchange(nursery)
    url = f"ws://127.0.0.1:{port}/stream?streams=btcusdt@kline_1m"
    proxied(monkeypatch, proxy.port)
    with pytest.raises(StreamDown, match="502"):
        await hear_one(url)
    proxy.answer = None
    assert "7.0" in str(await hear_one(url))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "7.0" in str(await hear_one(url))
    assert len(proxy.asked) == 2
    nursery.cancel_scope.cancel()


ANSWERS: dict[str, bytes] = {
    "refuses": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    "is down": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "speaks something else": b"SSH-2.0-OpenSSH_9.6\r\n",
    "hangs up": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_proxy_that_lets_nobody_through_is_named(
    answer: bytes, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(answer)
    await nursery.start(proxy.serve)
    proxied(monkeypatch, proxy.port)
    with pytest.raises(StreamDown, match=r"the proxy 127\.0\.0\.1") as caught:
        await hear_one("ws://exchange.test/stream?streams=btcusdt@kline_1m")
    advice = error_hint(caught.value, STREAM_VARIABLE)
    assert advice is not None
    assert "HTTPS_PROXY" in advice
    nursery.cancel_scope.cancel()


async def test_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied(monkeypatch, 1)
    with pytest.raises(ProxyError, match=r"the proxy 127\.0\.0\.1 cannot be reached"):
        await dial("ws://exchange.test/stream")


async def test_kind_of_proxy_that_is_not_spoken_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ProxyError, match="socks5"):
        await dial("wss://exchange.test/stream")


def test_variable_follows_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "plain.test:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.test:2")
    hosts = {url: proxy_for(url) for url in ("ws://a.test/x", "wss://a.test/x")}
    assert [found and (found.hostname, found.port) for found in hosts.values()] == [
        ("plain.test", 1),
        ("secure.test", 2),
    ]
    monkeypatch.setenv("NO_PROXY", "a.test")
    assert proxy_for("wss://a.test/x") is None
    assert proxy_for("wss://b.test/x") is not None


def test_without_variables_there_is_no_proxy() -> None:
    assert proxy_for("wss://a.test/x") is None
