"""WebSocket frames (RFC 6455) as a client reads and writes them: plain code, many at a time.

Every candle comes through here, so it is written by hand: what is read from a socket at once is
split at once, and a whole text message costs a slice and a decode.
"""

from __future__ import annotations

import os
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_FIN = 0x80
_WHOLE_TEXT = _FIN | TEXT
_MASKED = 0x80
_MOST_CONTROL_BYTES = 125

NORMAL, PROTOCOL, NO_CODE, LOST, NO_TEXT, TOO_BIG = 1000, 1002, 1005, 1006, 1007, 1009
"""Close codes. Source: RFC 6455, 7.4.1."""

# Those that a close frame may hold: of RFC 6455, 7.4.1 and the IANA registry, of libraries, and
# private ones.
_CODES = (*range(1000, 1004), *range(1007, 1015))


class BrokenFrame(Exception):
    """What came is no message that we take; `code` is the close code that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


class Control(NamedTuple):
    """A ping, a pong or a close."""

    opcode: int
    payload: bytes


class FrameReader:
    """Puts messages together from the bytes that a server sends.

    `most_bytes` is the most that one message may have; more is refused before it is stored.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._needed = 0
        """Bytes that `_rest` must have before it is worth another look."""
        self._opcode = 0
        """Of the message of which only some fragments have come; 0 between messages."""
        self._fragments = bytearray()

    def feed(self, data: bytes) -> list[str | bytes | Control]:
        """The messages and control frames that are complete with `data`, in order.

        Raises:
            BrokenFrame: nothing after it can be understood; what came before it in `data` is lost.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
        found: list[str | bytes | Control] = []
        start, end = 0, len(data)
        needed = 2
        while end - start >= 2:
            size, head = data[start + 1], 2
            if size > _MOST_CONTROL_BYTES:
                if size >= _MASKED:
                    raise BrokenFrame(PROTOCOL, "a server masks nothing")
                head = 4 if size == 126 else 10
                if end - start < head:
                    needed = head
                    break
                size = int.from_bytes(data[start + 2 : start + head])
            if size + len(self._fragments) > self._most_bytes:
                raise BrokenFrame(TOO_BIG, f"a message of more than {self._most_bytes} bytes")
            body = start + head
            if body + size > end:
                needed = head + size
                break
            first = data[start]
            start = body + size
            if first == _WHOLE_TEXT and not self._opcode:
                found.append(_text(data[body:start]))
            else:
                self._take(first, data[body:start], found)
        self._rest = bytearray(data[start:])
        self._needed = needed
        return found

    def _take(self, first: int, payload: bytes, found: list[str | bytes | Control]) -> None:
        """Anything but a text message in one frame."""
        if first & 0x70:
            raise BrokenFrame(PROTOCOL, "a frame of an extension that nobody asked for")
        opcode, is_last = first & 0x0F, first >= _FIN
        if opcode >= CLOSE:
            found.append(_control(opcode, payload, is_last=is_last))
            return
        if opcode not in (0, TEXT, BINARY) or (opcode == 0) != (self._opcode != 0):
            raise BrokenFrame(PROTOCOL, f"a frame of kind {opcode} has no place here")
        self._opcode = self._opcode or opcode
        self._fragments += payload
        if is_last:
            whole = bytes(self._fragments)
            found.append(_text(whole) if self._opcode == TEXT else whole)
            self._opcode = 0
            self._fragments.clear()


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise BrokenFrame(NO_TEXT, "text that is no UTF-8") from None


def _control(opcode: int, payload: bytes, *, is_last: bool) -> Control:
    if opcode > PONG or not is_last or len(payload) > _MOST_CONTROL_BYTES:
        raise BrokenFrame(PROTOCOL, f"no control frame: {opcode}")
    if opcode == CLOSE:
        close_reason(payload)
    return Control(opcode, payload)


def close_reason(payload: bytes) -> tuple[int, str]:
    """What a close frame says.

    Raises:
        BrokenFrame: it may not say that.
    """
    if not payload:
        return NO_CODE, ""
    code = int.from_bytes(payload[:2])
    if len(payload) < 2 or not (code in _CODES or 3000 <= code < 5000):
        raise BrokenFrame(PROTOCOL, "no such close code")
    return code, _text(payload[2:])


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame from client to server: masked, as RFC 6455, 5.3 demands."""
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 65536:
        head = bytes((_FIN | opcode, _MASKED | 126)) + size.to_bytes(2)
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + size.to_bytes(8)
    mask = os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return head + mask + (int.from_bytes(payload) ^ key).to_bytes(size)
