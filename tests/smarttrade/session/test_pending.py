from __future__ import annotations

from smarttrade.session.pending import CHUNK, Pending
from smarttrade.session.waiting_bytes import WaitingBytes


def drained(pending: Pending) -> list[bytes]:
    """What goes out, chunk by chunk."""
    pieces = []
    while pending:
        pieces.append(bytes(pending.peek()))
        pending.consume(len(pieces[-1]))
    return pieces


def test_newer_frame_takes_the_place_of_an_older_one_of_its_key() -> None:
    pending = Pending(WaitingBytes(10**9))
    assert pending.put_frames([("a", b"a1"), ("b", b"b1")], is_behind=True) == 0
    assert pending.put_frames([("a", b"a22")], is_behind=True) == 1
    assert pending.bytes == 5
    assert drained(pending) == [b"a22b1"]
    assert pending.bytes == 0


def test_nothing_is_replaced_while_the_client_is_not_behind() -> None:
    pending = Pending(WaitingBytes(10**9))
    pending.put_frames([("a", b"a1")], is_behind=False)
    assert pending.put_frames([("a", b"a2")], is_behind=False) == 0
    assert drained(pending) == [b"a1", b"a2"]


def test_barrier_keeps_the_order_around_it() -> None:
    pending = Pending(WaitingBytes(10**9))
    pending.put_frames([("a", b"a1")], is_behind=True)
    pending.append_barrier(b"closing")
    pending.put_frames([("a", b"a2")], is_behind=True)
    assert drained(pending) == [b"a1", b"closing", b"a2"]


def test_ticket_is_written_when_all_that_was_sealed_by_then_has() -> None:
    pending = Pending(WaitingBytes(10**9))
    pending.append_barrier(b"one")
    ticket = pending.ticket
    pending.append_barrier(b"two")
    pending.peek()
    pending.consume(2)
    assert not pending.is_written(ticket)
    pending.consume(1)
    assert pending.is_written(ticket)


def test_drop_keeps_the_current_chunk() -> None:
    pending = Pending(WaitingBytes(10**9))
    pending.start_partial(b"begun", 2)
    pending.append_barrier(b"barrier")
    pending.put_frames([("a", b"a1")], is_behind=True)
    pending.drop()
    assert pending.bytes == 3
    assert drained(pending) == [b"gun"]


def test_about_one_chunk_of_frames_begins_at_a_time() -> None:
    pending = Pending(WaitingBytes(10**9))
    half = bytes(CHUNK // 2)
    pending.put_frames([(key, half) for key in "abc"], is_behind=True)
    assert [len(piece) for piece in drained(pending)] == [CHUNK, CHUNK // 2]


def test_frames_of_different_keys_go_out_together_though_the_client_is_not_behind() -> None:
    pending = Pending(WaitingBytes(10**9))
    assert pending.put_frames([("a", b"a1"), ("b", b"b1")], is_behind=False) == 0
    assert drained(pending) == [b"a1b1"]


def test_what_was_dropped_counts_as_written_after_the_chunk_that_had_begun() -> None:
    pending = Pending(WaitingBytes(1_000_000))
    pending.append_barrier(b"begun")
    pending.peek()
    pending.append_barrier(b"dropped")
    pending.drop()
    assert not pending.is_written(pending.ticket)
    pending.consume(len(b"begun"))
    assert pending.is_written(pending.ticket)
