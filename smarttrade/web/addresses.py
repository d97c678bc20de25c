"""Addresses of clients: as sockets report them, and as they are counted."""

from __future__ import annotations

import ipaddress


def address_of(name: object) -> tuple[str, int] | None:
    """What getpeername or getsockname returned, as (address, port), or None if it is not IP."""
    match name:
        case (str(address), int(port), *_):
            return address.removeprefix("::ffff:"), port
        case _:
            return None


def network_of(address: str) -> str:
    """Whom to count together: one IPv4 address, or the /64 that one IPv6 customer is given."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False))
