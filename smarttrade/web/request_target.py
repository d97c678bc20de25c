"""The target and the host of a request, as the RFCs have them. Plain code."""

from __future__ import annotations

import ipaddress
import re

MAX_HOST = 253  # bytes; RFC 1035, 2.3.4, without the length bytes

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?")
_LABEL = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def origin_form(target: bytes) -> tuple[bytes, bytes | None] | None:
    """The path with its query, and the host if the target names one; None if it is no target here.

    RFC 9112, 3.2: a server accepts the absolute form, whose host replaces the Host header.
    """
    if target.startswith(b"/"):
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not absolute[1] or not is_host(absolute[1]):
        return None
    path = absolute[2]
    return (path if path.startswith(b"/") else b"/" + path), absolute[1]


def is_host(host: bytes) -> bool:
    """Whether this is a host with or without a port (RFC 9110, 7.2), or nothing.

    Of the names that RFC 3986 allows, those that DNS can have.
    """
    if not host:
        return True
    match = _HOST.fullmatch(host)
    if match is None or int(match[3] or 0) > 65535:
        return False
    if match[1] is not None:
        return _is_ipv6(match[1].decode())
    name = match[2].removesuffix(b".")
    return len(name) <= MAX_HOST and all(map(_LABEL.fullmatch, name.split(b".")))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
