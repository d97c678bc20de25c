"""How the values of variables are read, and shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr

from ..binance.exchange_names import families_of
from ..market.interval import Interval


class Explained(ValueError):
    """A message that is fit to be shown: it names what is wrong, and no secret."""


def list_of(parse: Callable[[Any], Any]) -> BeforeValidator:
    """Entries separated by commas, without repetition, in the given order."""

    def read(value: Any) -> tuple[Any, ...]:
        entries = value.split(",") if isinstance(value, str) else value
        entries = [entry.strip() if isinstance(entry, str) else entry for entry in entries]
        good: dict[Any, None] = {}
        bad: list[str] = []
        for entry in filter(None, entries):
            try:
                good[parse(entry)] = None
            except ValueError:
                bad.append(repr(entry))
        if bad:
            raise ValueError(f"wrong: {', '.join(bad)}")
        if not good:
            raise ValueError("nothing in it")
        return tuple(good)

    return BeforeValidator(read)


def url(*schemes: str, with_query: bool = False) -> Callable[[str], str]:
    """A reader of URLs that have one of `schemes` and a host; without the slash at the end."""

    def read(text: str) -> str:
        text = text.strip()
        parts = urlsplit(text)
        if "@" in parts.path + parts.query + parts.fragment:  # then the host is half a password
            raise Explained("a password with any of / ? # needs these percent-encoded")
        if parts.scheme not in schemes or text.split() != [text]:
            raise ValueError(f"wrong scheme: {parts.scheme!r}")
        if parts.scheme == "unix":
            return text
        _ = parts.port  # raises when it is not one
        if not parts.hostname or parts.fragment or (parts.query and not with_query):
            raise ValueError("no host, or more than a base URL")
        return text.rstrip("/")

    return read


def base_url(*schemes: str, endings: Sequence[str]) -> Callable[[str], str]:
    """A reader of base URLs, also as the exchange's tables print them: with one of `endings`."""
    read = url(*schemes)
    reserved = {name for ending in endings for name in ending.split("/") if name}

    def read_base(text: str) -> str:
        base = read(text)
        found = next((ending for ending in endings if base.endswith(ending)), "")
        base = base.removesuffix(found)
        if not reserved.isdisjoint(urlsplit(base).path.split("/")):
            raise ValueError("a URL of one resource")
        return base

    return read_base


def one_exchange(urls: Sequence[str], *others: str) -> None:
    """Raises `ValueError` when these are hosts of exchanges that are known to be different."""
    if len(families := families_of((*urls, *others))) > 1:
        raise ValueError(f"wrong: {' and '.join(families)} are different exchanges")


def namespace(text: str) -> str:
    if not re.fullmatch(r"[\w.:-]{1,50}", text, re.ASCII):
        raise ValueError("not a namespace")
    return text


def host_name(text: str) -> str:
    text = text.strip().removeprefix("[").removesuffix("]")
    if ":" in text:
        return str(IPv6Address(text))
    if not re.fullmatch(r"[\w.-]+", text):
        raise ValueError("not a host")
    return text


def origin(text: str) -> str:
    """An origin as browsers send it (RFC 6454, 6.2), or `*`."""
    origin = text.lower().rstrip("/")
    if not re.fullmatch(r"\*|null|[a-z][a-z\d+.-]*://[^/?#@\s]+", origin):
        raise ValueError("not an origin")
    return origin


def network(text: str) -> IPv4Network | IPv6Network:
    """An address, or a network in CIDR notation."""
    return ip_network(text, strict=False)


def token(text: str) -> SecretStr:
    """A bearer token (RFC 6750, 2.1) that cannot be guessed."""
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,512}=*", text):
        raise ValueError("not a token")
    return SecretStr(text)


def lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def or_none(read: Callable[[str], str]) -> Callable[[str | None], str | None]:
    return lambda value: None if value is None else read(value)


def shown(value: Any) -> str:
    """A value as one would write it, on one line, without passwords."""
    match value:
        case None | False | ():
            return "not set"
        case SecretStr():
            return "***"
        case True:
            return "1"
        case Interval():
            return value.value
        case tuple():
            return ",".join(map(shown, value))
        case _:
            return masked(f"{value:g}" if isinstance(value, float) else str(value))


def masked(text: str) -> str:
    """`text` without what may be a password in a URL, even in one that is malformed."""
    text = re.sub(r"(?s)^([a-zA-Z+]+://)?.*@", r"\1***@", text)
    return re.sub(r"(?i)(password=)[^&,\s]*", r"\1***", text)
