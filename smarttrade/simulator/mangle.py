"""What faults make of the events that a connection is sent."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from .faults import Faults
from .publisher import Event, text_frame

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


PATIENCE = 8  # events kept back beyond which they are sent though nothing came after them


class Mangler:
    """For one connection: keeps back what is to come late."""

    def __init__(self, faults: Faults, rng: Random) -> None:
        self._faults = faults
        self._rng = rng
        self._kept_back: list[Event] = []

    def frames(self, events: Iterable[Event], *, combined: bool) -> bytes:
        """The bytes to send for `events`; without faults, the frames that all connections share."""
        if not self._kept_back and not self._faults.troubles_events():
            return b"".join([event.frame(combined=combined) for event in events])
        kept_back, self._kept_back = self._kept_back, []
        sent = b"".join(
            [self._frame(event, combined=combined) for event in events if not self._lost(event)]
        )
        if sent or len(kept_back) > PATIENCE:
            return sent + b"".join([event.frame(combined=combined) for event in kept_back])
        self._kept_back += kept_back
        return b""

    def _frame(self, event: Event, *, combined: bool) -> bytes:
        faults = self._faults
        if self._happens(faults.disorder.value):
            self._kept_back.append(event)
            return b""
        frame = event.frame(combined=combined)
        if self._happens(faults.truncate.value):
            text = event.text(combined=combined).encode()
            frame = text_frame(text[: self._rng.randrange(len(text))])
        if self._happens(faults.duplicate.value):
            frame += frame
        if self._happens(faults.garbage.value):
            frame = text_frame(self._rng.choice(NONSENSE)) + frame
        if self._happens(faults.broken_frames.value):
            frame = BROKEN_FRAME + frame
        return frame

    def _lost(self, event: Event) -> bool:
        stalled = self._faults.stall.value
        if stalled is not None and (not stalled or event.stream in stalled):
            return True
        return event.closing and self._happens(self._faults.missing_close.value)

    def _happens(self, share: float | None) -> bool:
        return share is not None and self._rng.random() < share
