"""What a client reads: complete text frames, each a JSON message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.fakes.schemas import checked

Message = dict[str, Any]


def payloads(data: bytes) -> list[bytes]:
    """The payloads of complete, unmasked text frames (RFC 6455, 5.2); nothing else is allowed."""
    found = list(_split(data))
    assert sum(len(frame) for frame, _ in found) == len(data), "a frame was cut"
    return [payload for _, payload in found]


def messages(data: bytes) -> list[Message]:
    """All messages, validated against the schema."""
    return [json.loads(checked(payload)) for payload in payloads(data)]


def message(data: bytes) -> Message:
    (one,) = messages(data)
    return one


def exact(data: bytes) -> Message:
    """The only message, with every number as the decimal that was sent."""
    (payload,) = payloads(data)
    found: Message = json.loads(payload, parse_float=Decimal)
    return found


TEXT, PING = 0x81, 0x89  # with the bit of a last fragment


class FrameReader:
    """Assembles messages from the bytes of a stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        self._rest += data
        found = list(_split(self._rest))
        self._rest = self._rest[sum(len(frame) for frame, _ in found) :]
        return [json.loads(payload) for frame, payload in found if frame[0] == TEXT]


def _split(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start + 2 <= len(data):
        assert data[start] in (TEXT, PING), "the last fragment of a message, or a ping"
        assert data[start + 1] < 128, "not masked"
        size, head = data[start + 1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            head += width
            size = int.from_bytes(data[start + 2 : start + head])
        end = start + head + size
        if end > len(data) or start + head > len(data):
            return
        yield data[start:end], data[start + head : end]
        start = end
