"""What faults make of the events of one connection: dropped, delayed, altered, repeated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import msgspec

from .faults import Faults
from .stream_events import StreamEvent, text_frame

NONSENSE = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"tick"',
    b'{"stream":"btcusdt@kline_1m"}',
    b'{"stream":"btcusdt@kline_1m","data":null}',
    b'{"e":"kline","E":"soon","s":7,"k":[]}',
    b'{"stream":"nosuch@kline_1m","data":{"e":"kline","s":"NOSUCH","k":{}}}',
    b"<html><body>502 Bad Gateway</body></html>",
    b"[" * 2000,
)
BROKEN_FRAME = b"\xff\xff" + b"\x00" * 8  # reserved bits and an unknown opcode
FIELD_B = ',"B":"0"'
FAR_AHEAD = 1000  # lengths of a kline by which an impossible one opens too late

MAX_REORDERED = 8  # events held back, beyond which they are sent though nothing came after them


class StreamFaults:
    """For one connection: holds back what is to come late."""

    def __init__(self, faults: Faults, rng: Random, peer: str, host: str) -> None:
        self._faults = faults
        self._rng = rng
        self._peer = peer
        self._host = host
        self._reordered: list[StreamEvent] = []
        self._delayed: list[tuple[int, StreamEvent]] = []
        """Closing events, and when (exchange time) they are sent."""

    @property
    def next_release(self) -> int | None:
        """When (exchange time, ms) a delayed event is to be sent; None without any."""
        return min((due for due, _ in self._delayed), default=None)

    def frames(self, events: Iterable[StreamEvent], instant: int, *, combined: bool) -> bytes:
        """The bytes to send at `instant`; without faults, the frames that all connections share."""
        alter = self._faults.alter_events() and self._faults.concern(self._host)
        if not (self._reordered or self._delayed or alter):
            return b"".join([event.frame(combined=combined) for event in events])
        kept = [event for event in events if not self._is_lost(event)]
        kept = [event for event in kept if not self._is_delayed(event, instant)]
        kept += self._released(instant)
        reordered, self._reordered = self._reordered, []
        sent = b"".join([self._frame(event, combined=combined) for event in kept])
        if sent or len(reordered) > MAX_REORDERED:
            return sent + b"".join([event.frame(combined=combined) for event in reordered])
        self._reordered += reordered
        return b""

    def _is_lost(self, event: StreamEvent) -> bool:
        faults = self._faults
        stalled, peers = faults.stall.value, faults.peer_stall.value
        if stalled is not None and (not stalled or event.stream in stalled):
            return True
        if peers is not None and (not peers or self._peer in peers):
            return True
        return event.closing and self._happens(faults.missing_close.value)

    def _is_delayed(self, event: StreamEvent, instant: int) -> bool:
        longest = self._faults.late_close.value
        if longest is None or not event.closing:
            return False
        due = instant + int(self._rng.uniform(0, longest) * 1000)
        self._delayed.append((due, event))
        return due > instant

    def _released(self, instant: int) -> list[StreamEvent]:
        released = [event for due, event in self._delayed if due <= instant]
        self._delayed = [one for one in self._delayed if one[0] > instant]
        return released

    def _frame(self, event: StreamEvent, *, combined: bool) -> bytes:
        faults = self._faults
        if self._happens(faults.disorder.value):
            self._reordered.append(event)
            return b""
        event = self._altered(event)
        frame = event.frame(combined=combined)
        if self._happens(faults.truncate.value):
            text = event.text(combined=combined).encode()
            frame = text_frame(text[: self._rng.randrange(len(text))])
        if self._happens(faults.duplicate.value):
            frame += frame
        if self._happens(faults.impossible.value):
            frame = self._impossible(event).frame(combined=combined) + frame
        if self._happens(faults.garbage.value):
            frame = text_frame(self._rng.choice(NONSENSE)) + frame
        if self._happens(faults.broken_frames.value):
            frame = BROKEN_FRAME + frame
        return frame

    def _altered(self, event: StreamEvent) -> StreamEvent:
        payload, time = event.payload, event.time
        if (jitter := self._faults.jitter.value) is not None:
            time -= self._rng.randint(0, jitter)
            payload = payload.replace(f'"E":{event.time}', f'"E":{time}', 1)
        if self._happens(self._faults.without_b.value):
            payload = payload.replace(FIELD_B, "")
        if payload is event.payload:
            return event
        return StreamEvent(event.stream, payload, time, event.closing)

    def _impossible(self, event: StreamEvent) -> StreamEvent:
        """A kline that opens long after it is reported, forming or closed."""
        payload: dict[str, Any] = msgspec.json.decode(event.payload)
        kline = payload["k"]
        ahead = FAR_AHEAD * (kline["T"] + 1 - kline["t"])
        kline |= {
            "t": kline["t"] + ahead,
            "T": kline["T"] + ahead,
            "x": self._rng.random() < 0.5,
        }
        text = msgspec.json.encode(payload).decode()
        return replace(event, payload=text, _frames={})

    def _happens(self, share: float | None) -> bool:
        return share is not None and self._rng.random() < share
