"""Variables that say who may ask, and how often one address may."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import SecretStr

from ..web.access import Access
from .fields import PREFIX, Variables, number, variable
from .values import list_of, network, origin, token

_ACCESS = Access()


class AccessSettings(Variables):
    requests_per_second_per_ip: float | None = variable(
        f"{PREFIX}REQUESTS_PER_SECOND_PER_IP",
        None,
        "sustained requests and handshakes of one address or IPv6 /64 network, answered with 429"
        f" beyond; if not set, {_ACCESS.requests_per_second:g}, and this machine has no such limit",
        allowed="a number from 0.1 to 1000000 (1/s)",
        ge=0.1,
        le=1_000_000,
    )
    request_burst_per_ip: int = number(
        f"{PREFIX}REQUEST_BURST_PER_IP",
        _ACCESS.burst,
        "requests that one address may send at once",
        *(1, 1_000_000, ""),
    )
    cors_origins: Annotated[tuple[str, ...], list_of(origin)] = variable(
        f"{PREFIX}CORS_ORIGINS",
        ("*",),
        "origins whose pages may read our answers",
        allowed="* or origins such as https://charts.example.com, separated by commas",
    )
    origins: Annotated[tuple[str, ...] | None, list_of(origin)] = variable(
        f"{PREFIX}ORIGINS",
        None,
        f"origins whose pages may open WebSockets; if not set, those of {PREFIX}CORS_ORIGINS",
        allowed="* or origins such as https://charts.example.com, separated by commas",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], list_of(network)] = variable(
        f"{PREFIX}TRUSTED_PROXIES",
        (),
        "proxies whose X-Forwarded-For says who the client is",
        allowed="addresses and networks such as 127.0.0.1,10.0.0.0/8, separated by commas",
    )
    tokens: Annotated[tuple[SecretStr, ...], list_of(token)] = variable(
        f"{PREFIX}TOKENS",
        (),
        "tokens of which clients need one; better kept in a file",
        allowed="tokens of 16 or more letters, digits and any of - . _ ~ + /, separated by commas",
    )
    tokens_file: Path | None = variable(
        f"{PREFIX}TOKENS_FILE",
        None,
        "file with such tokens, one a line; # begins a remark",
        allowed="a file that can be read",
    )

    def access(self, tokens: Iterable[str]) -> Access:
        """What is asked of clients, with the tokens that were found."""
        rate = self.requests_per_second_per_ip
        return Access(
            tokens=tuple(tokens),
            origins=self.cors_origins if self.origins is None else self.origins,
            cors_origins=self.cors_origins,
            trusted_proxies=self.trusted_proxies,
            requests_per_second=_ACCESS.requests_per_second if rate is None else rate,
            burst=self.request_burst_per_ip,
            exempts_loopback=rate is None,
        )
