"""Who is connected: every transport, and which of them are streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from .transport import Transport

Which = int | str
"""`streams`, `all` (those of REST as well), one by its number, or all streams of an address."""


GOING_AWAY = 1001
"""The close code of a server that ends a stream. Source: RFC 6455, section 7.4.1."""


class Stream(Protocol):
    """A stream connection as seen from outside of it."""

    transport: Transport

    @property
    def names(self) -> Mapping[str, object]:
        """Of the streams that it subscribes to."""

    def reschedule(self) -> None:
        """What it subscribes to, or what is listed, has changed."""

    def close(self, code: int, reason: str = "") -> None:
        """End it as the protocol has it, from anywhere and at any moment."""

    def announce_shutdown(self, seconds: float) -> None:
        """Send `serverShutdown`, and end it so many seconds later."""


class Connections:
    """All that are open, by the number of their transport."""

    def __init__(self) -> None:
        self.transports: dict[int, Transport] = {}
        self.streams: dict[int, Stream] = {}

    def reschedule(self) -> None:
        for stream in self.streams.values():
            stream.reschedule()

    def select_streams(self, which: Which) -> Iterator[Stream]:
        """Those that `which` means; safe while they end."""
        for number, stream in list(self.streams.items()):
            if which in ("streams", "all", number, stream.transport.peer):
                yield stream

    def select(self, which: Which) -> Iterator[Transport]:
        """The transports that `which` means; safe while they end."""
        for number, transport in list(self.transports.items()):
            is_stream = number in self.streams
            if which in ("all", number) or (is_stream and which in ("streams", transport.peer)):
                yield transport
