"""HTTP proxies: which one the environment names for a URL, and a tunnel through it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

import h11
import trio

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
VARIABLES = {"http": "HTTP_PROXY", "ws": "HTTP_PROXY", "https": "HTTPS_PROXY", "wss": "HTTPS_PROXY"}
"""By the scheme of a URL; ALL_PROXY is for those that are not set."""

ALLOWED = "must be an http:// or https:// URL such as http://user:password@proxy.example.com:3128"


class BadProxy(ValueError):
    """A proxy variable cannot be used; one line that names it, without its password."""


class ProxyError(OSError):
    """The proxy did not open a tunnel."""


@dataclass(frozen=True, slots=True)
class NoProxy:
    """One entry of NO_PROXY: hosts that are reached directly."""

    host: str = ""
    """With its subdomains; `*` is every host."""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None
    """None: any."""

    @classmethod
    def parse(cls, entry: str) -> NoProxy:
        """Hosts, domains with or without a leading dot, addresses and networks; maybe a port."""
        for text, port in ((entry, None), _split_port(entry)):
            try:
                return cls(network=ip_network(text.strip("[]"), strict=False), port=port)
            except ValueError:
                continue
        host, port = _split_port(entry)
        return cls(host.removeprefix("*.").lstrip(".").rstrip(".").lower() or host, port=port)

    def matches(self, host: str, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            try:
                return ip_address(host) in self.network
            except ValueError:
                return False
        return self.host in ("*", host) or host.endswith(f".{self.host}")


@dataclass(frozen=True, slots=True)
class Proxies:
    """What the environment says about proxies, validated once."""

    by_variable: Mapping[str, SplitResult]
    exceptions: tuple[NoProxy, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; lower-case names win, as in curl.

        Raises:
            BadProxy: one of them cannot be used.
        """
        found: dict[str, SplitResult] = {}
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            value = (environment.get(name.lower()) or environment.get(name) or "").strip()
            if value:
                found[name] = _parse(name, value)
        excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        return cls(found, tuple(map(NoProxy.parse, excepted.replace(",", " ").split())))

    def proxy_for(self, url: str) -> SplitResult | None:
        """The proxy for an http, https, ws or wss URL; None for none."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        if any(entry.matches(host, port) for entry in self.exceptions):
            return None
        return self.by_variable.get(VARIABLES[parts.scheme]) or self.by_variable.get("ALL_PROXY")


def _parse(name: str, value: str) -> SplitResult:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme.startswith("socks"):
        raise BadProxy(f"{name}: SOCKS proxies are not supported; {ALLOWED}")
    if "@" in parts.path + parts.query + parts.fragment:  # then the host is half a password
        raise BadProxy(f"{name}: a password with any of / ? # needs these percent-encoded")
    try:
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no port
        is_good = False
    if not is_good or parts.path.strip("/") or parts.query or parts.fragment:
        shown = f"{parts.scheme}://***@..." if "@" in value else repr(value)
        raise BadProxy(f"{name}={shown}: {ALLOWED}")
    return parts


def _split_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    is_port = colon and port.isdecimal() and (host.endswith("]") or ":" not in host)
    return (host, int(port)) if is_port else (text, None)


async def open_tunnel(
    stream: trio.abc.Stream, proxy: SplitResult, host: str, port: int
) -> trio.abc.Stream:
    """Make `stream`, which leads to `proxy`, lead to `host` (RFC 9110, 9.3.6).

    Raises:
        ProxyError: the proxy refuses, or speaks something else.
    """
    name = f"[{host}]" if ":" in host else host
    await _ask_for_tunnel(stream, proxy, f"{name}:{port}")
    return stream


async def _ask_for_tunnel(stream: trio.abc.Stream, proxy: SplitResult, target: str) -> None:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", target)]
    if proxy.username is not None:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        token = base64.b64encode(login.encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    request = h11.Request(method="CONNECT", target=target, headers=headers)
    try:
        await stream.send_all(connection.send(request) or b"")
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some()))
    except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
        raise ProxyError(f"the proxy {proxy.hostname} does not speak HTTP: {error}") from error
    status = event.status_code if isinstance(event, h11.Response) else 0
    if not 200 <= status < 300:
        raise ProxyError(f"the proxy {proxy.hostname} answers {status}")
