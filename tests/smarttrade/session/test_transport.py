from __future__ import annotations

import pytest
import trio

from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from smarttrade.session.pending import CHUNK
from smarttrade.session.transport import STREAM_CHUNK
from tests.smarttrade.session.stream_clients import Client, SocketClient, outbox_for


async def read_all(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some(65536):
        pass


# The end


async def test_an_aborted_socket_is_reset() -> None:
    """What the kernel still holds for a client that reads nothing is not kept for it."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    client = await trio.testing.open_stream_to_socket_listener(listener)
    outbox = Outbox(await listener.accept(), counters=OutboxCounters())
    outbox.post_once(b"x" * 10_000_000)

    await outbox.abort()

    with pytest.raises(trio.BrokenResourceError):  # not an orderly end after what was sent
        await read_all(client)
    await client.aclose()
    await listener.aclose()


class CountingSocketClient(SocketClient):
    """Remembers how much it was offered each time."""

    def __init__(self) -> None:
        super().__init__(room=0)
        self.offered: list[int] = []

    async def send_some(self, data: memoryview) -> int:
        self.offered.append(len(data))
        return await super().send_some(data)


# At the borders


async def test_socket_is_offered_one_chunk_at_a_time() -> None:
    client = CountingSocketClient()
    outbox = outbox_for(client)
    outbox.post_once(bytes(2 * CHUNK + 5))
    client.read()
    await outbox.send_all(b"")
    assert client.offered == [CHUNK, CHUNK, 5]


class ClientThatCounts(Client):
    """The same without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.offered: list[int] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.offered.append(len(data))
        await super().send_all(data)


async def test_stream_is_given_one_smaller_chunk_at_a_time() -> None:
    client = ClientThatCounts()
    outbox = outbox_for(client)
    await outbox.send_all(bytes(2 * STREAM_CHUNK + 5))
    assert client.offered == [STREAM_CHUNK, STREAM_CHUNK, 5]
