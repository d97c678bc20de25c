"""Which exchange a host serves: the hosts of Binance's documents, by family."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

FAMILIES = {
    "binance.com": ("binance.com", "data-api.binance.vision", "data-stream.binance.vision"),
    "testnet.binance.vision": ("testnet.binance.vision",),
    "binance.us": ("binance.us",),
}
"""By name, the hosts and domains that serve one exchange's candles.

Sources: binance-spot-api-docs, rest-api.md, "General API Information"; testnet/README.md; the API
documents of Binance.US.
"""

DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def exchange_name(url: str) -> str:
    """The name of the exchange at that base URL: a family's, or else the host and the port."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if (family := _family_of(host)) is not None:
        return family
    name = f"[{host}]" if ":" in host else host
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    return name if port == DEFAULT_PORTS.get(parts.scheme) else f"{name}:{port}"


def families_of(urls: Iterable[str]) -> tuple[str, ...]:
    """The families that these base URLs belong to, without hosts of none, each once."""
    found = (_family_of((urlsplit(url).hostname or "").rstrip(".")) for url in urls)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _family_of(host: str) -> str | None:
    for name, domains in FAMILIES.items():
        if any(host == domain or host.endswith(f".{domain}") for domain in domains):
            return name
    return None
