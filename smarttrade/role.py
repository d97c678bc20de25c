"""Which part of the service a process runs."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    SERVE = "serve"
    """Everything."""
    INGEST = "ingest"
    """The feed, for others to follow."""
    GATEWAY = "gateway"
    """Clients, who get what another process feeds."""

    @property
    def has_feed(self) -> bool:
        return self is not Role.GATEWAY

    @property
    def has_clients(self) -> bool:
        """Besides operators."""
        return self is not Role.INGEST
