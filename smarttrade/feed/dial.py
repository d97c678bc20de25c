"""How a stream connection's bytes get to the exchange: the one place that opens sockets to it.

A seam: the wiring may pass another `Dial`, for example one that leads to a
simulated exchange in memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from urllib.parse import urlsplit

import trio

from .proxy import open_tunnel, proxy_for

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens the byte stream for a `ws://` or `wss://` URL; the caller closes it.

Raises `OSError` or `trio.BrokenResourceError` when it cannot. It may take as long as it takes: the
caller limits it.
"""

DEFAULT_PORTS = {"ws": 80, "wss": 443}


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # loads the certificates: once, not per connection


async def dial(url: str) -> trio.abc.Stream:
    """Connect over TCP, through the environment's proxy if there is one, and TLS for `wss`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    proxy = proxy_for(url)
    if proxy is None:
        stream = await trio.open_tcp_stream(host, port)
    else:
        stream = await open_tunnel(proxy, host, port)
    if parts.scheme == "ws":
        return stream
    secure = trio.SSLStream(stream, _tls(), server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure
