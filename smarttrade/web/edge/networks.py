"""What the open connections of one address share."""

from __future__ import annotations

from collections import Counter

from ...session.waiting_bytes import WaitingBytes


class Networks:
    """How many connections each address has, and what waits for them.

    An address is one IPv4 address or an IPv6 /64 network. Of a trusted proxy's clients, only
    WebSockets are counted.
    """

    def __init__(self, max_waiting_bytes: int, max_waiting_bytes_per_address: int) -> None:
        self.memory = WaitingBytes(max_waiting_bytes)
        """Of the process."""
        self._max_bytes_per_address = max_waiting_bytes_per_address
        self._counts: Counter[str] = Counter()
        self._memories: dict[str, WaitingBytes] = {}

    def count(self, network: str) -> int:
        return self._counts[network]

    def enter(self, network: str) -> WaitingBytes:
        """Count one connection more; return what counts the bytes that wait for its address."""
        self._counts[network] += 1
        memory = self._memories.get(network)
        if memory is None:
            memory = WaitingBytes(self._max_bytes_per_address, self.memory)
            self._memories[network] = memory
        return memory

    def leave(self, network: str) -> None:
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]
            del self._memories[network]
