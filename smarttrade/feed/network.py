"""How the exchange's hosts are reached: directly or through a proxy, with which certificates."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import httpx
import trio

from .proxy import DEFAULT_PORTS, BadProxy, Proxies, ProxyError, open_tunnel
from .tls import BadCertificates, client_context

CONNECTIONS = 20
"""Requests under way at once, each on a connection that is kept."""


class BadNetwork(ValueError):
    """The environment's proxies or certificates cannot be used."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        """One line each."""
        super().__init__("; ".join(problems))


class Network:
    """Opens connections for REST and streams, as the environment says."""

    def __init__(self, environment: Mapping[str, str], proxies: Proxies) -> None:
        self._environment = environment
        self._proxies = proxies

    @classmethod
    def direct(cls) -> Network:
        """Without proxies, and with the usual certificates."""
        return cls({}, Proxies({}))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Network:
        """With the proxies and the certificates that variables name.

        Raises:
            BadNetwork: some cannot be used; it names all.
        """
        problems: list[str] = []
        proxies = Proxies({})
        try:
            proxies = Proxies.from_environment(environment)
        except BadProxy as error:
            problems.append(str(error))
        network = cls(environment, proxies)
        try:
            _ = network.tls
        except BadCertificates as error:
            problems.append(str(error))
        if problems:
            raise BadNetwork(*problems)
        return network

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Made once: loading certificates takes tens of milliseconds."""
        return client_context(self._environment)

    def http_client(self) -> httpx.AsyncClient:
        """For REST requests; one for a process, as its connections are shared."""
        return httpx.AsyncClient(
            transport=_Transport(self._proxies.proxy_for, self.tls),
            timeout=httpx.Timeout(10.0, connect=5.0),
            headers={"User-Agent": "smarttrade"},
            trust_env=False,
        )

    async def dial(self, url: str) -> trio.abc.Stream:
        """See `Dial`: TCP, through a proxy if there is one, and TLS for `wss`."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        proxy = self._proxies.proxy_for(url)
        if proxy is None:
            stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
        else:
            stream = await self._through(proxy, host, port)
        return await self._secured(stream, host) if parts.scheme == "wss" else stream

    async def _through(self, proxy: SplitResult, host: str, port: int) -> trio.abc.Stream:
        name = proxy.hostname or ""
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(
                name, proxy.port or DEFAULT_PORTS[proxy.scheme]
            )
        except OSError as error:
            raise ProxyError(f"the proxy {name} cannot be reached: {error}") from error
        if proxy.scheme == "https":
            stream = await self._secured(stream, name)
        try:
            return await open_tunnel(stream, proxy, host, port)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def _secured(self, stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
        secure = trio.SSLStream(stream, self.tls, server_hostname=host, https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secure)
            raise
        return secure


class _Transport(httpx.AsyncBaseTransport):
    """A connection pool for each proxy, and one without; httpx knows fewer forms of NO_PROXY."""

    def __init__(self, proxy_for: Callable[[str], SplitResult | None], tls: ssl.SSLContext) -> None:
        self._proxy_for = proxy_for
        self._tls = tls
        self._pools: dict[SplitResult | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._proxy_for(str(request.url))
        if proxy not in self._pools:
            self._pools[proxy] = self._pool(proxy)
        return await self._pools[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, proxy: SplitResult | None) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(
            max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=30
        )
        via = None if proxy is None else self._httpx_proxy(proxy)
        return httpx.AsyncHTTPTransport(verify=self._tls, limits=limits, trust_env=False, proxy=via)

    def _httpx_proxy(self, proxy: SplitResult) -> httpx.Proxy:
        address = proxy.netloc.rpartition("@")[2]
        login = (unquote(proxy.username or ""), unquote(proxy.password or ""))
        return httpx.Proxy(
            urlunsplit((proxy.scheme, address, "", "", "")),
            auth=None if proxy.username is None else login,
            ssl_context=self._tls if proxy.scheme == "https" else None,
        )
