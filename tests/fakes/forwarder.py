"""A TCP forwarder that can move: a name that follows a fail-over, as clients see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio


@dataclass
class Forwarder:
    """New connections go to `target`; those that are open stay where they are."""

    target: int
    """A port of this machine."""
    port: int = 0
    opened: list[int] = field(default_factory=list)
    """The target of each connection, in their order."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def serve(self, client: trio.SocketStream) -> None:
        self.opened.append(self.target)
        server = await trio.open_tcp_stream("127.0.0.1", self.target)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(_pump, client, server, nursery.cancel_scope)
            await _pump(server, client, nursery.cancel_scope)


async def _pump(source: trio.SocketStream, to: trio.SocketStream, end: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await to.send_all(data)
    end.cancel()


@asynccontextmanager
async def forwarder_to(target: int) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(target)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        forwarder.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, forwarder.serve, [listener])
        yield forwarder
        nursery.cancel_scope.cancel()
