"""Attacks by many connections, and what becomes of those."""

from __future__ import annotations

import trio

from tests.smarttrade.web.raw_client import TEXT, frame, frame_head

from .attacker import CLOSED_ERRORS, Attacker, read_all
from .floods import subscriptions

BAD_TEXTS = (
    *(b"{", b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b"1e999999", b'"\\ud800"', b""),
)


async def slow_heads(attacker: Attacker) -> None:
    """Connections that send one byte of their head per second."""
    async with await attacker.connect() as stream:
        try:
            for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 30:
                await attacker.send(stream, bytes((byte,)))
                await trio.sleep(1)
        except CLOSED_ERRORS:
            attacker.outcomes["cut off"] += 1
            raise


async def connections(attacker: Attacker) -> None:
    """Connections opened as fast as possible and kept."""
    async with await attacker.connect() as stream:
        with trio.move_on_after(3):
            answer = await stream.receive_some(2000)
            attacker.outcomes[answer[9:12].decode() or "closed"] += 1
            return
        attacker.outcomes["admitted"] += 1
        await trio.sleep_forever()


async def unread_snapshots(attacker: Attacker) -> None:
    """Clients of ten addresses that subscribe to all series, and read nothing."""
    async with await attacker.websocket(receive_buffer=4096) as stream:
        await attacker.send(stream, subscriptions(lambda: 1000))
        await trio.sleep_forever()


async def unread_requests(attacker: Attacker) -> None:
    """Clients that read nothing, so that the large requests they send have to wait.

    A character beyond the basic plane makes each of a text's 65,000 take four bytes.
    """
    request = frame(TEXT, "\N{GRINNING FACE}".encode() + b" " * 65_000)
    async with await attacker.websocket(receive_buffer=4096) as stream:
        await attacker.send(stream, subscriptions(lambda: 1000))
        for _ in range(31):
            await attacker.send(stream, request)
        await trio.sleep_forever()


async def request_floods(attacker: Attacker) -> None:
    """Clients that send requests as fast as they can, and read."""
    await _pour(attacker, b"", frame(TEXT, b'{"action":"list"}') * 50)


async def bad_requests(attacker: Attacker) -> None:
    """Clients that send invalid requests, a hundred of each kind."""
    text = BAD_TEXTS[attacker.outcomes.total() % len(BAD_TEXTS)]
    async with await attacker.websocket() as stream:
        await attacker.send(stream, frame(TEXT, text) * 100)
        await attacker.note_outcome(stream)


async def huge_frames(attacker: Attacker) -> None:
    """Frames that announce 600 MB."""
    await _pour(attacker, frame_head(TEXT, 600_000_000, masked=True), b"x" * 16_384)


async def endless_messages(attacker: Attacker) -> None:
    """Messages in fragments without end."""
    fragment = frame(0, b"x" * 16_384, fin=False)
    await _pour(attacker, frame(TEXT, b"x", fin=False), fragment)


async def _pour(attacker: Attacker, begin: bytes, data: bytes) -> None:
    """Send the same until the server ends the connection, and note how it does."""
    async with await attacker.websocket() as stream, trio.open_nursery() as nursery:

        async def send() -> None:
            try:
                await attacker.send(stream, begin)
                while True:
                    await attacker.send(stream, data)
            except CLOSED_ERRORS:
                await read_all(stream)

        nursery.start_soon(send)
        await attacker.note_outcome(stream)
        nursery.cancel_scope.cancel()
