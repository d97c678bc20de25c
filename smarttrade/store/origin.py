"""Which exchange stored candles are from, and whether that is this process's own. Plain code."""

from __future__ import annotations

import re
from typing import NamedTuple

from .mismatch import NamespaceMismatch

MAX_ORIGIN = 260  # characters: a host name of 253 and a port

_ORIGIN = re.compile(r"[a-z0-9_.:\[\]-]{1,260}")


class OwnExchange(NamedTuple):
    """The exchange of a process that has a feed."""

    name: str
    """Of the host that answered; the first that is configured until one has."""
    others: frozenset[str] = frozenset()
    """Names of the other configured hosts: to the operator they are the same exchange."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """Origins of stored candles that are this exchange's; its own name first."""
        return (self.name, *sorted(self.others - {self.name}))


class ForeignOrigin(NamespaceMismatch):
    """What is stored came from another exchange; the message says what to do."""

    def __init__(self, found: str, exchange: OwnExchange, namespace: str) -> None:
        super().__init__(
            f"namespace {namespace!r} in Redis holds candles of {found}, and this process reads "
            f"{exchange.name}; set SMARTTRADE_REDIS_NAMESPACE, to {namespace}-{_suffix(exchange)} "
            "for example"
        )


def is_origin(text: str) -> bool:
    return _ORIGIN.fullmatch(text) is not None


def _suffix(exchange: OwnExchange) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", exchange.name).strip("-")
