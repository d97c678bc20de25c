"""Frames, held against wsproto, which shares no code with ours."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from smarttrade.feed.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    BrokenFrame,
    Control,
    FrameReader,
    client_frame,
    close_reason,
)

MOST = 100_000

_sizes = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, MOST])
_texts = st.text(max_size=200) | _sizes.map(lambda size: "x" * size)
_short = st.binary(max_size=125)


@st.composite
def _fragmented(draw: st.DrawFn) -> list[Event]:
    """One message in several frames, with a ping between them."""
    pieces = draw(st.lists(st.text(max_size=50), min_size=2, max_size=5))
    last = len(pieces) - 1
    events: list[Event] = []
    for at, piece in enumerate(pieces):
        events.append(TextMessage(piece, message_finished=at == last))
        if at != last and draw(st.booleans()):
            events.append(Ping(b"between"))
    return events


_messages = (
    _texts.map(lambda text: [TextMessage(text)])
    | st.binary(max_size=300).map(lambda data: [BytesMessage(data)])
    | _short.map(lambda payload: [Ping(payload)])
    | _short.map(lambda payload: [Pong(payload)])
    | _fragmented()
)


def _read(reader: FrameReader, pieces: Iterable[bytes]) -> list[str | bytes | Control]:
    return [message for piece in pieces for message in reader.feed(piece)]


def _expected(events: Iterable[Event]) -> list[str | bytes | Control]:
    found: list[str | bytes | Control] = []
    begun = ""
    for event in events:
        match event:
            case TextMessage():
                begun += event.data
                if event.message_finished:
                    found.append(begun)
                    begun = ""
            case BytesMessage():
                found.append(bytes(event.data))
            case Ping() | Pong():
                opcode = PING if isinstance(event, Ping) else PONG
                found.append(Control(opcode, bytes(event.payload)))
    return found


@given(st.lists(_messages, max_size=6), st.lists(st.integers(1, 5000), max_size=20))
def test_what_a_server_sends_is_read_however_it_is_cut(
    messages: list[list[Event]], cuts: list[int]
) -> None:
    events = [event for message in messages for event in message]
    server = Connection(ConnectionType.SERVER)
    data = b"".join(server.send(event) for event in events)
    pieces = []
    for size in cuts:
        pieces.append(data[:size])
        data = data[size:]
    assert _read(FrameReader(MOST), [*pieces, data]) == _expected(events)


@given(_texts)
def test_what_we_send_is_read_by_a_server(text: str) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(client_frame(TEXT, text.encode()) + client_frame(PING, b"x"))
    events = list(server.events())
    assert "".join(e.data for e in events if isinstance(e, TextMessage)) == text
    assert [e.payload for e in events if isinstance(e, Ping)] == [b"x"]


def test_masks_differ() -> None:
    assert client_frame(TEXT, b"hello") != client_frame(TEXT, b"hello")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x83\x00", 1002),
        (b"\xc1\x01a", 1002),
        (b"\x80\x01a", 1002),
        (b"\x01\x01a\x81\x01b", 1002),
        (b"\x81\x81\x00\x00\x00\x00a", 1002),
        (b"\x09\x00", 1002),
        (b"\x89\x7e\x00\x7e" + b"x" * 126, 1002),
        (b"\x8b\x00", 1002),
        (b"\x88\x01\x03", 1002),
        (b"\x88\x02\x03\xed", 1002),
        (b"\x88\x03\x03\xe8\xff", 1007),
        (b"\x81\x01\xff", 1007),
        (b"\x01\x01\xc3\x80\x01x", 1007),
        (b"\x81\x7f" + (MOST + 1).to_bytes(8), 1009),
        (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1009),
        (b"\x01\x7e\xff\xff" + b"x" * 65_535 + b"\x80\x7e\xff\xff", 1009),
    ],
    ids=lambda value: value[:4].hex() if isinstance(value, bytes) else str(value),
)
def test_broken_frames_are_refused_with_a_code(data: bytes, code: int) -> None:
    with pytest.raises(BrokenFrame) as broken:
        FrameReader(MOST).feed(data)
    assert broken.value.code == code


@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(data: bytes) -> None:
    with suppress(BrokenFrame):
        FrameReader(MOST).feed(data)


@given(st.sampled_from([1000, 1001, 1008, 1011, 1013, 3000, 4999]), st.text(max_size=30))
def test_close_frames_tell_their_reason(code: int, reason: str) -> None:
    data = Connection(ConnectionType.SERVER).send(CloseConnection(code, reason))
    [close] = FrameReader(MOST).feed(data)
    assert isinstance(close, Control)
    assert close.opcode == CLOSE
    assert close_reason(close.payload) == (code, reason)


def test_close_frame_without_a_code() -> None:
    assert close_reason(b"") == (1005, "")


def test_large_message_in_many_pieces_costs_no_more_than_its_size() -> None:
    """It is looked at once when it is complete, not with every piece."""
    data = b"\x81\x7f" + MOST.to_bytes(8) + b"x" * MOST
    reader = FrameReader(MOST)
    for at in range(len(data) - 1):
        assert reader.feed(data[at : at + 1]) == []
    assert reader.feed(data[-1:]) == ["x" * MOST]
