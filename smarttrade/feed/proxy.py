"""A way through an HTTP proxy: what `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` ask for.

REST requests follow the same variables, through httpx.
"""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import h11
import trio

SCHEMES = {"ws": "http", "wss": "https"}
"""Which variable speaks for which streams: HTTP_PROXY and HTTPS_PROXY."""


class ProxyError(OSError):
    """The proxy does not let us through."""


def proxy_for(url: str) -> SplitResult | None:
    """The proxy for a `ws://` or `wss://` URL, as the environment says now; None for none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    proxy = proxies.get(SCHEMES[parts.scheme]) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


async def open_tunnel(proxy: SplitResult, host: str, port: int) -> trio.SocketStream:
    """A connection to `host` through `proxy` (RFC 9110, 9.3.6); the caller closes it.

    Raises:
        ProxyError: the proxy is not there, refuses, or is of a kind that we do not speak.
    """
    if proxy.scheme != "http":
        raise ProxyError(f"only http:// proxies are known here; not: {proxy.scheme}://")
    try:
        stream = await trio.open_tcp_stream(proxy.hostname or "", proxy.port or 8080)
    except OSError as error:
        raise ProxyError(f"the proxy {proxy.hostname} cannot be reached: {error}") from error
    try:
        await _ask_for_tunnel(stream, proxy, f"{host}:{port}")
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _ask_for_tunnel(stream: trio.SocketStream, proxy: SplitResult, target: str) -> None:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", target)]
    if proxy.username is not None:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        token = base64.b64encode(login.encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    request = h11.Request(method="CONNECT", target=target, headers=headers)
    await stream.send_all(connection.send(request) or b"")
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
    except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
        raise ProxyError(f"the proxy {proxy.hostname} does not speak HTTP: {error}") from error
    status = event.status_code if isinstance(event, h11.Response) else 0
    if not 200 <= status < 300:
        raise ProxyError(f"the proxy {proxy.hostname} answers {status}")
