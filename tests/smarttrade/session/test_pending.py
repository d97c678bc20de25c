from __future__ import annotations

from smarttrade.session.pending import CHUNK, Pending


def gone(pending: Pending) -> list[bytes]:
    """What goes out, in the pieces in which it begins."""
    pieces = []
    while pending:
        pieces.append(bytes(pending.begin()))
        pending.took(len(pieces[-1]))
    return pieces


def test_newer_frame_takes_the_place_of_an_older_one_of_its_key() -> None:
    pending = Pending()
    assert pending.keep([("a", b"a1"), ("b", b"b1")], is_behind=True) == 0
    assert pending.keep([("a", b"a22")], is_behind=True) == 1
    assert pending.bytes == 5
    assert gone(pending) == [b"a22b1"]
    assert pending.bytes == 0


def test_nothing_is_replaced_while_the_client_is_not_behind() -> None:
    pending = Pending()
    pending.keep([("a", b"a1")], is_behind=False)
    assert pending.keep([("a", b"a2")], is_behind=False) == 0
    assert gone(pending) == [b"a1", b"a2"]


def test_what_is_sealed_keeps_what_was_before_it_before_it() -> None:
    pending = Pending()
    pending.keep([("a", b"a1")], is_behind=True)
    pending.seal(b"goodbye")
    pending.keep([("a", b"a2")], is_behind=True)
    assert gone(pending) == [b"a1", b"goodbye", b"a2"]


def test_ticket_has_gone_when_all_that_was_sealed_by_then_has() -> None:
    pending = Pending()
    pending.seal(b"one")
    ticket = pending.ticket
    pending.seal(b"two")
    pending.begin()
    pending.took(2)
    assert not pending.has_gone(ticket)
    pending.took(1)
    assert pending.has_gone(ticket)


def test_what_has_begun_is_not_dropped_with_the_rest() -> None:
    pending = Pending()
    pending.begin_with(b"begun", 2)
    pending.seal(b"sealed")
    pending.keep([("a", b"a1")], is_behind=True)
    pending.drop()
    assert pending.bytes == 3
    assert gone(pending) == [b"gun"]


def test_about_one_chunk_of_frames_begins_at_a_time() -> None:
    pending = Pending()
    half = bytes(CHUNK // 2)
    pending.keep([(key, half) for key in "abc"], is_behind=True)
    assert [len(piece) for piece in gone(pending)] == [CHUNK, CHUNK // 2]


def test_frames_of_different_keys_go_out_together_though_the_client_is_not_behind() -> None:
    pending = Pending()
    assert pending.keep([("a", b"a1"), ("b", b"b1")], is_behind=False) == 0
    assert gone(pending) == [b"a1b1"]
