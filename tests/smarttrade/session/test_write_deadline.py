from __future__ import annotations

import trio
import trio.testing
from trio.testing import MockClock

from smarttrade.session.pending import CHUNK
from smarttrade.session.transport import _unread as unread
from smarttrade.session.write_deadline import WriteDeadline


async def test_each_write_has_the_whole_limit(autojump_clock: MockClock) -> None:
    deadline = WriteDeadline(30.0)
    await trio.sleep(100)
    assert deadline.next_deadline() == 130.0
    assert not deadline.is_over()


async def test_final_writes_share_one_limit(autojump_clock: MockClock) -> None:
    deadline = WriteDeadline(30.0)
    deadline.start_final()
    await trio.sleep(10)
    deadline.start_final()
    assert deadline.next_deadline() == 30.0
    await trio.sleep(19.9)
    assert not deadline.is_over()
    await trio.sleep(0.1)
    assert deadline.is_over()


async def test_final_limit_ends_with_what_it_was_for(autojump_clock: MockClock) -> None:
    deadline = WriteDeadline(30.0)
    deadline.start_final()
    await trio.sleep(29)
    deadline.reset()
    assert deadline.next_deadline() == 59.0
    await trio.sleep(10)
    assert not deadline.is_over()


async def test_kernel_says_what_a_client_has_not_read(autojump_clock: MockClock) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    client = await trio.testing.open_stream_to_socket_listener(listener)
    ours = await listener.accept()
    assert unread(ours.socket) == 0
    with trio.move_on_after(0.1):
        while True:
            await ours.socket.send(bytes(CHUNK))
    assert unread(ours.socket) > 0
    for each in (client, ours, listener):
        await each.aclose()
    assert unread(ours.socket) == 0  # the socket is closed
