"""Through a proxy on loopback, in real time: a tunnel, and the ways in which there is none."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import pytest
import trio
from trio_websocket import WebSocketRequest, serve_websocket

from smarttrade.binance.hints import STREAM_VARIABLE
from smarttrade.feed.errors import StreamDown
from smarttrade.feed.hints import error_hint
from smarttrade.feed.network import BadNetwork, Network
from smarttrade.feed.proxy import Proxies, ProxyError
from smarttrade.feed.websocket_client import WebSocket, run_connection
from tests.fakes.exchange_streams import BTC, kline


@dataclass
class Proxy:
    """Opens tunnels, unless `answer` is sent instead."""

    answer: bytes | None = None
    requests: list[bytes] = field(default_factory=list)
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
        self.requests.append(head)
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
    """Sends one candle to each client."""

    async def send_candle(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message(kline(BTC, 0, 7.0))
        await trio.sleep_forever()

    async def serve(*, task_status: trio.TaskStatus[int]) -> None:
        async with trio.open_nursery() as inner:
            server = await inner.start(serve_websocket, send_candle, "127.0.0.1", 0, None)
            task_status.started(server.port)

    port: int = await nursery.start(serve)
    return port


async def receive_one(url: str, network: Network) -> str | bytes:
    received: list[str | bytes] = []

    async def handler(websocket: WebSocket) -> None:
        received.append(await websocket.receive())

    with trio.fail_after(10):
        await run_connection(url, network.dial, handler)
    return received[0]


def proxied(port: int, login: str = "", **variables: str) -> Network:
    variables["HTTP_PROXY"] = f"http://{login}127.0.0.1:{port}"
    return Network.from_environment(variables)


async def test_stream_goes_through_the_proxy(
    nursery: trio.Nursery,
) -> None:
    proxy, port = Proxy(), await exchange(nursery)
    await nursery.start(proxy.serve)
    network = proxied(proxy.port, "me:s%40crt@")
    url = f"ws://127.0.0.1:{port}/stream?streams=btcusdt@kline_1m"
    assert "7.0" in str(await receive_one(url, network))
    [asked] = proxy.requests
    assert asked.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
    assert base64.b64encode(b"me:s@crt") in asked
    nursery.cancel_scope.cancel()


async def test_host_of_no_proxy_is_reached_directly(nursery: trio.Nursery) -> None:
    proxy, port = Proxy(), await exchange(nursery)
    await nursery.start(proxy.serve)
    url = f"ws://127.0.0.1:{port}/stream?streams=btcusdt@kline_1m"
    network = proxied(proxy.port, NO_PROXY="127.0.0.0/8")
    assert "7.0" in str(await receive_one(url, network))
    assert proxy.requests == []
    nursery.cancel_scope.cancel()


async def test_rest_goes_through_the_proxy_as_well(nursery: trio.Nursery) -> None:
    proxy = Proxy(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await nursery.start(proxy.serve)
    async with proxied(proxy.port, "me:s%40crt@").http_client() as http:
        assert (await http.get("http://exchange.test/api/v3/time")).json() == {}
    [asked] = proxy.requests
    assert asked.startswith(b"GET http://exchange.test/api/v3/time HTTP/1.1\r\n")
    assert base64.b64encode(b"me:s@crt") in asked
    nursery.cancel_scope.cancel()


ANSWERS: dict[str, bytes] = {
    "refuses": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    "is down": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "speaks something else": b"SSH-2.0-OpenSSH_9.6\r\n",
    "hangs up": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_proxy_that_refuses_every_request_is_named(
    answer: bytes, nursery: trio.Nursery
) -> None:
    proxy = Proxy(answer)
    await nursery.start(proxy.serve)
    network = proxied(proxy.port)
    with pytest.raises(StreamDown, match=r"the proxy 127\.0\.0\.1") as caught:
        await receive_one("ws://exchange.test/stream?streams=btcusdt@kline_1m", network)
    hint = error_hint(caught.value, STREAM_VARIABLE)
    assert hint is not None
    assert "HTTPS_PROXY" in hint
    nursery.cancel_scope.cancel()


async def test_proxy_that_is_not_there_is_named() -> None:
    with pytest.raises(ProxyError, match=r"the proxy 127\.0\.0\.1 cannot be reached"):
        await proxied(1).dial("ws://exchange.test/stream")


@pytest.mark.parametrize(
    ("variable", "value", "wrong"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "ALL_PROXY: SOCKS proxies are not supported"),
        ("https_proxy", "socks4a://h:1", "HTTPS_PROXY: SOCKS proxies are not supported"),
        ("HTTP_PROXY", "ftp://h", "HTTP_PROXY='ftp://h': must be an http:// or https:// URL"),
        ("HTTP_PROXY", "http://", "HTTP_PROXY='http://': must be"),
        ("HTTP_PROXY", "http://h:port", "HTTP_PROXY='http://h:port': must be"),
        ("HTTPS_PROXY", "http://u:ses#ame@h:3128", "needs these percent-encoded"),
        ("HTTPS_PROXY", "http://u:sesame@h:port", "HTTPS_PROXY=http://***@...: must be"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE='/nowhere.pem': must be a PEM file"),
        ("SSL_CERT_FILE", "/dev/null", "SSL_CERT_FILE='/dev/null': must be a PEM file"),
        ("SSL_CERT_DIR", "/nowhere", "SSL_CERT_DIR='/nowhere': must be a directory"),
    ],
)
def test_what_cannot_be_used_is_one_line_without_password(
    variable: str, value: str, wrong: str
) -> None:
    with pytest.raises(BadNetwork) as raised:
        Network.from_environment({variable: value})
    (problem,) = raised.value.problems
    assert wrong in problem
    assert "ses" not in problem.replace("these", "")
    assert "ame@" not in problem


def test_variable_follows_the_scheme() -> None:
    both = {"HTTP_PROXY": "plain.test:1", "HTTPS_PROXY": "http://secure.test:2"}
    proxies = Proxies.from_environment(both)
    found = [proxies.proxy_for(f"{scheme}://a.test/x") for scheme in ("ws", "wss", "http", "https")]
    assert [each and each.hostname for each in found] == ["plain.test", "secure.test"] * 2
    fallback = Proxies.from_environment({"all_proxy": "http://any.test"}).proxy_for("wss://a.test")
    assert fallback is not None


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("*", ["a.test", "[::1]"], []),
        ("a.test", ["a.test", "b.a.test", "A.TEST", "a.test."], ["ba.test", "a.test.b"]),
        (".a.test", ["a.test", "b.a.test"], ["ba.test"]),
        ("*.a.test", ["b.a.test"], ["ba.test"]),
        ("x.test, a.test b.test", ["a.test", "b.test"], ["c.test"]),
        ("a.test:8443", ["a.test:8443"], ["a.test", "a.test:1"]),
        ("a.test:443", ["a.test"], ["a.test:8443"]),
        ("[::1]", ["[::1]", "[::1]:9"], ["[::2]"]),
        ("::1", ["[::1]"], ["[::2]"]),
        ("[::1]:9", ["[::1]:9"], ["[::1]"]),
        ("fd00::/8", ["[fd12::1]"], ["[fe80::1]"]),
        ("10.0.0.0/8", ["10.1.2.3", "10.1.2.3:9"], ["11.1.2.3", "10.test"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("10.1.2.3:9", ["10.1.2.3:9"], ["10.1.2.3"]),
        ("", [], ["a.test"]),
        ("[::1", [], ["a.test"]),
    ],
)
def test_no_proxy_in_all_its_forms(no_proxy: str, direct: list[str], proxied: list[str]) -> None:
    environment = {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": no_proxy}
    proxies = Proxies.from_environment(environment)
    assert [host for host in direct if proxies.proxy_for(f"https://{host}/x")] == []
    assert [host for host in proxied if not proxies.proxy_for(f"wss://{host}/x")] == []


def test_without_variables_there_is_no_proxy() -> None:
    assert Proxies.from_environment({}).proxy_for("wss://a.test/x") is None
