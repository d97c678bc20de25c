from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

import smarttrade.session.transport as transport_module
from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.frames import Batch, Frame
from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from smarttrade.session.pending import CHUNK
from smarttrade.session.transport import STREAM_CHUNK
from smarttrade.session.waiting_bytes import WaitingBytes
from tests.fakes.outboxes import run

STALL_LIMIT = 30.0


# Clients, named by how they read


class Client(trio.abc.HalfCloseableStream):
    """The transport to a client that takes a given number of bytes, and keeps them."""

    def __init__(self, room: float = math.inf) -> None:
        self.room = room
        self.received = b""
        self.closed = False
        self.ended = False
        self._lot = trio.lowlevel.ParkingLot()

    def read(self, size: float = math.inf) -> None:
        self.room += size
        self._lot.unpark_all()

    def _take(self, data: bytes | memoryview) -> int:
        if self.closed:
            raise trio.ClosedResourceError
        taken = int(min(self.room, len(data)))
        self.room -= taken
        self.received += bytes(data[:taken])
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        left = memoryview(data)
        while True:
            left = left[self._take(left) :]
            if not left:
                break
            await self._lot.park()
        await trio.lowlevel.checkpoint()

    async def send_some(self, data: memoryview) -> int:
        assert not self.ended
        while not (taken := self._take(data)):
            await self._lot.park()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return taken

    def send_now(self, data: bytes) -> int:
        assert not self.ended
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        taken = self._take(data)
        if not taken:
            raise BlockingIOError
        return taken

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        self.ended = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        self.closed = True
        self._lot.unpark_all()
        await trio.lowlevel.checkpoint()


class SocketClient(Client):
    """The same behind a socket, which sends without waiting and says how much it took."""

    class _Socket:
        def __init__(self, client: SocketClient) -> None:
            self._sock = self._Inner(client)
            self.send = client.send_some

        class _Inner:
            def __init__(self, client: SocketClient) -> None:
                self.send = client.send_now

        def fileno(self) -> int:
            return -1

        def setsockopt(self, *_: object) -> None:
            raise OSError(9, "Bad file descriptor")

    def __init__(self, room: float = math.inf) -> None:
        super().__init__(room)
        self.socket = self._Socket(self)


def stuck() -> SocketClient:
    return SocketClient(room=0)


CLIENTS: list[type[Client]] = [Client, SocketClient]


# Frames


def websocket_frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x82, size]) if size < 126 else bytes([0x82, 126, size >> 8, size & 255])
    return head + payload


def payloads(received: bytes) -> Iterator[bytes]:
    """Take a byte string apart; it must be whole frames."""
    while received:
        assert received[0] == 0x82, received[:20]
        size, start = received[1], 2
        if size == 126:
            size, start = int.from_bytes(received[2:4], "big"), 4
        assert len(received) >= start + size
        yield received[start : start + size]
        received = received[start + size :]


def frame(key: str, state: int | str = "", *, size: int = 0) -> Frame:
    return key, websocket_frame(f"{key}{state}".encode().ljust(size, b"."))


def batch(*frames: Frame) -> Batch:
    return Batch(b"".join(data for _, data in frames), frames)


def texts(client: Client) -> list[str]:
    return [payload.decode().rstrip(".") for payload in payloads(client.received)]


def outbox_for(
    client: Client, counters: OutboxCounters | None = None, *, max_pending_bytes: int = 1_000_000
) -> Outbox:
    return Outbox(
        client,
        stall_limit=STALL_LIMIT,
        max_pending_bytes=max_pending_bytes,
        counters=counters or OutboxCounters(),
    )


# The hot path


async def test_frames_to_an_idle_socket_go_out_at_once() -> None:
    client, counters = SocketClient(), OutboxCounters()
    outbox = outbox_for(client, counters)

    outbox.post(batch(frame("a", 1), frame("b", 1)))

    assert texts(client) == ["a1", "b1"]
    assert outbox.pending_bytes == 0
    assert (counters.messages, counters.bytes) == (2, len(client.received))


async def test_without_a_socket_frames_wait_for_the_writer(nursery: trio.Nursery) -> None:
    client = Client()
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    await wait_all_tasks_blocked()

    outbox.post(batch(frame("a", 1)))
    assert texts(client) == []
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1"]


async def test_a_slow_client_gets_only_the_newest_state_of_each_candle(
    nursery: trio.Nursery,
) -> None:
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    nursery.start_soon(run, outbox)
    for state in range(5):
        outbox.post(batch(frame("a", state), frame("b", state)))
    outbox.post(batch(frame("c", 0)))

    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["a4", "b4", "c0"]
    assert counters.conflated == 8
    assert outbox.pending_bytes == 0


async def test_the_rest_of_a_frame_that_has_begun_goes_first(nursery: trio.Nursery) -> None:
    client = SocketClient(room=6)  # one frame of four bytes, half of the next
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1), frame("b", 1), frame("c", 1)))
    outbox.post(batch(frame("b", 2), frame("c", 2)))

    nursery.start_soon(run, outbox)
    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1", "b1", "c2", "b2"]


async def test_there_is_a_writer_only_while_something_is_pending(nursery: trio.Nursery) -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.write_in(nursery)
    before = len(nursery.child_tasks)
    for state in (1, 2):
        outbox.post(batch(frame("a", state)))
        assert len(nursery.child_tasks) == before + 1
    client.read()
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == before
    outbox.post(batch(frame("a", 3)))
    assert len(nursery.child_tasks) == before
    assert texts(client)[-1] == "a3"


async def test_an_end_is_reported_once_and_at_once_when_it_has_come() -> None:
    outbox, reported = outbox_for(Client()), list[ClosedReason]()
    outbox.report_end(reported.append)
    outbox.finish()
    await outbox.aclose()
    assert reported == [ClosedReason.FINISHED]
    outbox.report_end(reported.append)
    assert reported == [ClosedReason.FINISHED] * 2


async def test_a_client_that_caught_up_gets_frames_at_once_again(nursery: trio.Nursery) -> None:
    client = stuck()
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    outbox.post(batch(frame("a", 1)))
    client.read()
    await wait_all_tasks_blocked()

    outbox.post(batch(frame("a", 2)))

    assert texts(client) == ["a1", "a2"]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_what_is_posted_once_stays_between_what_came_before_and_after(
    kind: type[Client], nursery: trio.Nursery
) -> None:
    client = kind(room=0)
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    outbox.post(batch(frame("a", 1)))
    await wait_all_tasks_blocked()
    outbox.post_once(frame("snapshot")[1])
    outbox.post(batch(frame("a", 2)))
    outbox.post(batch(frame("a", 3)))
    outbox.post_once(frame("pong")[1])

    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1", "snapshot", "a3", "pong"]


async def test_client_that_is_not_behind_gets_every_state(nursery: trio.Nursery) -> None:
    """Without a socket of its own a post waits for the writer's turn: that is not being slow."""
    client = Client(room=10_000)
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    await wait_all_tasks_blocked()
    for state in (1, 2, 3):
        outbox.post(batch(frame("a", state)))
    client.read()
    await wait_all_tasks_blocked()
    assert texts(client) == ["a1", "a2", "a3"]


async def test_answers_are_written_once_the_client_took_them_all(nursery: trio.Nursery) -> None:
    """Candles that come meanwhile are not waited for."""
    client = stuck()
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    await outbox.written()
    outbox.post_once(frame("snapshot", size=100)[1])
    done = trio.Event()

    async def wait() -> None:
        await outbox.written()
        done.set()

    nursery.start_soon(wait)
    for _ in range(101):
        await wait_all_tasks_blocked()
        assert not done.is_set()
        outbox.post(batch(frame("a", size=100)))
        client.read(1)
    client.read(1)
    await wait_all_tasks_blocked()
    assert done.is_set()


@pytest.mark.parametrize("end", [Outbox.finish, Outbox.overflow])
async def test_answers_are_not_waited_for_after_the_end(
    end: Callable[[Outbox], None], nursery: trio.Nursery
) -> None:
    outbox = outbox_for(stuck())
    outbox.post_once(frame("snapshot")[1])
    async with trio.open_nursery() as waiting:
        waiting.start_soon(outbox.written)
        await wait_all_tasks_blocked()
        end(outbox)


# Hypercorn's writes beside ours


@pytest.mark.parametrize("kind", CLIENTS)
async def test_writes_of_several_tasks_do_not_interleave(
    kind: type[Client], nursery: trio.Nursery
) -> None:
    client = kind(room=0)
    outbox = outbox_for(client)
    nursery.start_soon(run, outbox)
    for name in ("ping", "body"):
        nursery.start_soon(outbox.send_all, frame(name, size=300)[1])
    outbox.post(batch(frame("a", 1, size=200)))
    for _ in range(90):
        await wait_all_tasks_blocked()
        client.read(10)
    await wait_all_tasks_blocked()

    assert sorted(texts(client)) == ["a1", "body", "ping"]


async def test_send_all_returns_when_its_bytes_are_written_and_not_later(
    nursery: trio.Nursery,
) -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1)))
    written = trio.Event()

    async def write() -> None:
        await outbox.send_all(frame("p")[1])
        written.set()

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    outbox.post(batch(frame("a", 2)))
    client.read(7)
    await wait_all_tasks_blocked()

    assert written.is_set()
    assert texts(client) == ["a1", "p"]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_cancelled_write_is_finished_by_the_next(
    kind: type[Client], nursery: trio.Nursery
) -> None:
    client = kind(room=3)
    outbox = outbox_for(client)
    scope = trio.CancelScope()

    async def write() -> None:
        with scope:
            await outbox.send_all(frame("first")[1])

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    nursery.start_soon(outbox.send_all, frame("second")[1])
    await wait_all_tasks_blocked()
    client.read()
    await wait_all_tasks_blocked()

    assert texts(client) == ["first", "second"]


async def test_a_cancelled_writer_loses_nothing(nursery: trio.Nursery) -> None:
    client = SocketClient(room=1)
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1), frame("b", 1)))
    with trio.move_on_after(0):
        await run(outbox)

    client.read()
    nursery.start_soon(run, outbox)
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1", "b1"]


async def test_the_end_of_our_half_comes_after_what_is_pending() -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1)))
    client.read()

    await outbox.send_eof()
    outbox.post(batch(frame("a", 2)))

    assert texts(client) == ["a1"]
    assert client.ended


# Clients that do not read


async def test_a_client_that_takes_nothing_is_cut_off_after_the_stall_limit(
    autojump_clock: MockClock,
) -> None:
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    outbox.post(batch(frame("a", 1)))

    assert await run(outbox) is ClosedReason.STALLED

    assert trio.current_time() == STALL_LIMIT
    assert client.closed
    assert (counters.evicted, outbox.pending_bytes) == (1, 0)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_write_shielded_from_cancellation_ends_after_the_stall_limit(
    kind: type[Client], autojump_clock: MockClock
) -> None:
    outbox = outbox_for(kind(room=0))
    with trio.CancelScope() as scope:
        scope.cancel()
        with trio.CancelScope(shield=True), pytest.raises(trio.BrokenResourceError):
            await outbox.send_all(b"closing")

    assert trio.current_time() == STALL_LIMIT
    assert outbox.closed_reason is ClosedReason.STALLED


@pytest.mark.parametrize("kind", CLIENTS)
async def test_every_writer_behind_a_stalled_write_gets_the_error(
    kind: type[Client], autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    outbox = outbox_for(kind(room=0))
    ends: list[float] = []

    async def write() -> None:
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await outbox.send_all(b"closing")
        ends.append(trio.current_time())

    async with trio.open_nursery() as writers:
        for _ in range(3):
            writers.start_soon(write)

    assert ends == [STALL_LIMIT] * 3


async def test_a_client_that_reads_a_little_now_and_then_is_served(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    nursery.start_soon(run, outbox)
    outbox.post(batch(frame("a", 1, size=5000)))
    for _ in range(6):
        await trio.sleep(29)
        client.read(1000)
    await wait_all_tasks_blocked()

    assert texts(client) == ["a1"]
    assert counters.evicted == 0


async def test_a_client_whose_kernel_acknowledges_is_not_stalled(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux calls a socket writable only when much of its buffer is free."""
    held = iter([500_000, 400_000, 300_000, 300_000])
    monkeypatch.setattr(transport_module, "_unread", lambda _: next(held))
    outbox = outbox_for(stuck())
    outbox.post(batch(frame("a", 1)))

    assert await run(outbox) is ClosedReason.STALLED

    assert trio.current_time() == 3 * STALL_LIMIT


async def test_a_finished_outbox_has_one_stall_limit_for_what_is_pending(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Reading a little now and then does not keep a session that is over."""
    client, counters = stuck(), OutboxCounters()
    outbox = outbox_for(client, counters)
    outbox.post(batch(frame("a", 1, size=5000)))
    outbox.finish()
    nursery.start_soon(partial(read_now_and_then, client, every=10, size=100))

    with pytest.raises(trio.BrokenResourceError):
        await outbox.send_all(b"closing")

    assert trio.current_time() == STALL_LIMIT
    assert counters.evicted == 1
    nursery.cancel_scope.cancel()


async def read_now_and_then(client: Client, *, every: float, size: int) -> None:
    while True:
        await trio.sleep(every)
        client.read(size)


# Too much pending


async def test_too_much_pending_ends_the_outbox_and_leaves_room_for_a_closing(
    nursery: trio.Nursery,
) -> None:
    client, counters = SocketClient(room=5), OutboxCounters()
    outbox = outbox_for(client, counters, max_pending_bytes=1000)
    outbox.post(batch(frame("begun", size=100), frame("b", 1, size=100)))
    for number in range(10):
        outbox.post_once(frame("once", number, size=100)[1])

    assert await run(outbox) is ClosedReason.OVERFLOWED
    assert counters.overflowed == 1
    assert outbox.pending_bytes < 110
    outbox.post(batch(frame("late")))
    client.read()
    await outbox.send_all(frame("closing")[1])

    assert texts(client) == ["begun", "closing"]


async def test_newer_states_do_not_add_up_to_too_much(nursery: trio.Nursery) -> None:
    outbox = outbox_for(stuck(), max_pending_bytes=1000)
    for state in range(100):
        outbox.post(batch(frame("a", state, size=400), frame("b", state, size=400)))

    assert outbox.closed_reason is None
    assert outbox.pending_bytes < 1000


async def test_a_session_may_give_up_on_its_client(nursery: trio.Nursery) -> None:
    client = stuck()
    outbox = outbox_for(client)
    outbox.post(batch(frame("a", 1)))

    outbox.overflow()

    assert await run(outbox) is ClosedReason.OVERFLOWED
    assert outbox.pending_bytes == 0


# The end


def post_to(outbox: Outbox) -> None:
    outbox.post(batch(frame("a", 1)))


def post_once_to(outbox: Outbox) -> None:
    outbox.post_once(frame("a", 1)[1])


@pytest.mark.parametrize("post", [post_to, post_once_to])
@pytest.mark.parametrize("kind", CLIENTS)
async def test_posts_after_the_end_do_nothing(
    post: Callable[[Outbox], None], kind: type[Client]
) -> None:
    client, counters = kind(), OutboxCounters()
    outbox = outbox_for(client, counters)
    await outbox.aclose()

    post(outbox)

    assert (client.received, outbox.pending_bytes, counters.messages) == (b"", 0, 0)
    assert await run(outbox) is ClosedReason.FINISHED


@pytest.mark.parametrize("post", [post_to, post_once_to])
async def test_a_post_to_a_broken_socket_ends_the_outbox_quietly(
    post: Callable[[Outbox], None], nursery: trio.Nursery
) -> None:
    client, counters = SocketClient(), OutboxCounters()
    outbox = outbox_for(client, counters)
    client.closed = True

    post(outbox)
    post(outbox)

    assert await run(outbox) is ClosedReason.FAILED
    assert counters.failed == 1
    with pytest.raises(trio.ClosedResourceError):
        await outbox.send_all(b"late")


@pytest.mark.parametrize("kind", CLIENTS)
async def test_closing_wakes_the_writer(kind: type[Client], nursery: trio.Nursery) -> None:
    outbox = outbox_for(kind(room=0))

    async def write() -> None:
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await outbox.send_all(b"hello")

    async with trio.open_nursery() as writers:
        writers.start_soon(run, outbox)
        writers.start_soon(write)
        await wait_all_tasks_blocked()
        await outbox.aclose()


async def read_all(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some(65536):
        pass


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


# Any sequence at all

KEYS = st.sampled_from("abcd")
SIZES = st.sampled_from([0, 30, 300])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.lists(KEYS, min_size=1, max_size=4, unique=True), SIZES),
        st.tuples(st.just("post_once"), st.none(), SIZES),
        st.tuples(st.just("send_all"), st.booleans(), SIZES),
        st.tuples(st.just("read"), st.none(), st.integers(1, 500)),
        st.tuples(st.just("let others run"), st.none(), st.none()),
    ),
    max_size=40,
)


class Model:
    """Does the operations, and remembers what a client must find."""

    def __init__(self, kind: type[Client]) -> None:
        self.client = kind(room=0)
        self.counters = OutboxCounters()
        self.outbox = outbox_for(self.client, self.counters)
        self.count = 0
        self.barriers: list[str] = []  # in the order of their making
        self.states: dict[str, list[tuple[str, int]]] = {key: [] for key in "abcd"}
        """Of each key its states, each with how many barriers were made before."""

    async def do(self, nursery: trio.Nursery, operation: tuple[str, Any, Any]) -> None:
        self.count += 1
        match operation:
            case "post", keys, size:
                self.outbox.post(batch(*(frame(key, self.count, size=size) for key in keys)))
                for key in keys:
                    self.states[key].append((f"{key}{self.count}", len(self.barriers)))
            case "post_once", _, size:
                self.outbox.post_once(self._barrier(size))
            case "send_all", cancelled, size:
                nursery.start_soon(self._send, self._barrier(size), cancelled)
                # `send_all` joins the queue when its task first runs.
                await wait_all_tasks_blocked()
            case "read", _, size:
                self.client.read(size)
            case _:
                await wait_all_tasks_blocked()

    def _barrier(self, size: int) -> bytes:
        name = f"X{self.count}"
        self.barriers.append(name)
        return frame("X", self.count, size=size)[1]

    async def _send(self, data: bytes, cancelled: bool) -> None:
        with trio.move_on_after(0.01 if cancelled else math.inf):
            await self.outbox.send_all(data)

    def check(self) -> None:
        received = texts(self.client)  # whole frames only
        assert [text for text in received if text[0] == "X"] == self.barriers
        place = {text: index for index, text in enumerate(received)}
        assert len(place) == len(received)
        ends = [-1, *(place[name] for name in self.barriers), len(received)]
        for states in self.states.values():
            places = [place[text] for text, _ in states if text in place]
            assert places == sorted(places)
            last_before = {barriers: text for text, barriers in states}
            for barriers, text in last_before.items():
                assert ends[barriers] < place[text] < ends[barriers + 1]
        assert self.outbox.pending_bytes == 0
        assert self.counters.messages - self.counters.conflated == len(received) - self.sent

    sent = 0


@pytest.mark.parametrize("kind", CLIENTS)
@settings(max_examples=150, deadline=None)
@given(operations=OPERATIONS)
def test_a_client_always_gets_whole_frames_in_order_and_every_last_state(
    kind: type[Client], operations: list[tuple[str, Any, Any]]
) -> None:
    async def main() -> None:
        model = Model(kind)
        model.sent = sum(name == "send_all" for name, *_ in operations)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, model.outbox)
            for operation in operations:
                await model.do(nursery, operation)
            model.client.read()
            await wait_all_tasks_blocked()
            model.check()
            await model.outbox.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_what_the_client_sends_comes_through() -> None:
    ours, client = memory_stream_pair()
    outbox = Outbox(ours, counters=OutboxCounters())
    await client.send_all(b"hello")
    assert await outbox.receive_some(3) == b"hel"
    assert await outbox.receive_some() == b"lo"


# At the borders


async def test_candles_alone_that_are_too_much_end_the_outbox() -> None:
    """Each of another key, so none takes another's place."""
    outbox = outbox_for(stuck(), counters := OutboxCounters(), max_pending_bytes=400)
    outbox.post(batch(frame("a", size=98), frame("b", size=98)))
    outbox.post(batch(frame("c", size=98), frame("d", size=98)))
    assert (outbox.pending_bytes, outbox.closed_reason) == (400, None)

    outbox.post(batch(frame("e")))

    assert await run(outbox) is ClosedReason.OVERFLOWED
    assert (outbox.pending_bytes, counters.overflowed) == (0, 1)


async def test_answers_that_are_as_much_as_may_be_pending_do_not_end_the_outbox() -> None:
    outbox = outbox_for(stuck(), max_pending_bytes=200)
    outbox.post_once(frame("a", size=98)[1])
    outbox.post_once(frame("b", size=98)[1])
    assert (outbox.pending_bytes, outbox.closed_reason) == (200, None)


class SocketClientClosedMeanwhile(SocketClient):
    """Takes bytes, and its connection is closed before the writer has heard of it."""

    outbox: Outbox

    async def send_some(self, data: memoryview) -> int:
        taken = await super().send_some(data)
        await self.outbox.aclose()
        return taken


async def test_write_that_ends_after_the_outbox_was_closed_raises() -> None:
    client, counters = SocketClientClosedMeanwhile(room=0), OutboxCounters()
    outbox = client.outbox = outbox_for(client, counters)
    outbox.post_once(frame("a", 1)[1])
    client.read()

    with pytest.raises(trio.ClosedResourceError):
        await outbox.send_all(frame("b", 1)[1])

    assert outbox.pending_bytes == 0
    assert texts(client) == ["a1"]
    assert counters.bytes == len(client.received)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_outbox_that_is_closed_during_a_write_was_not_broken_by_the_client(
    kind: type[Client],
) -> None:
    counters = OutboxCounters()
    outbox = outbox_for(kind(room=0), counters)

    async def write() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await outbox.send_all(b"hello")

    async with trio.open_nursery() as writers:
        writers.start_soon(write)
        await wait_all_tasks_blocked()
        await outbox.aclose()
    assert outbox.closed_reason is ClosedReason.FINISHED
    assert (counters.failed, counters.evicted) == (0, 0)


class SocketClientThatCounts(SocketClient):
    """Remembers how much it was offered each time."""

    def __init__(self) -> None:
        super().__init__(room=0)
        self.offered: list[int] = []

    async def send_some(self, data: memoryview) -> int:
        self.offered.append(len(data))
        return await super().send_some(data)


async def test_socket_is_offered_one_chunk_at_a_time() -> None:
    client = SocketClientThatCounts()
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


async def test_wait_for_room_ends_only_after_the_write_before_it(nursery: trio.Nursery) -> None:
    client = Client(room=0)
    outbox = outbox_for(client)
    done: list[str] = []

    async def write() -> None:
        await outbox.send_all(b"hello")
        done.append("written")

    async def wait() -> None:
        await outbox.wait_send_all_might_not_block()
        done.append("room")

    nursery.start_soon(write)
    await wait_all_tasks_blocked()
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert done == []
    client.read()
    await wait_all_tasks_blocked()
    assert sorted(done) == ["room", "written"]


async def test_client_whose_own_messages_take_most_memory_is_closed_first() -> None:
    memory = WaitingBytes(100_000)
    reasons: list[ClosedReason] = []
    outboxes = [Outbox(Client(), counters=OutboxCounters(), memory=memory) for _ in range(3)]
    for outbox in outboxes:
        outbox.report_end(reasons.append)
    for outbox, size in zip(outboxes, (20_000, 60_000, 30_000), strict=True):
        outbox.count_received(size)
    assert [outbox.closed_reason for outbox in outboxes] == [None, ClosedReason.OVERFLOWED, None]
    assert reasons == [ClosedReason.OVERFLOWED]
    assert memory.total == 50_000
    outboxes[1].count_received(-60_000)  # what it sent is dropped now
    outboxes[0].count_received(-20_000)
    assert memory.total == 30_000
    for outbox in outboxes:
        await outbox.aclose()
    assert memory.total == 0
