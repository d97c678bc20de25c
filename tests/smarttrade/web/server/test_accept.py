from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import trio
from hypercorn.events import Event, RawData
from quart_trio import QuartTrio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from smarttrade.session.outbox import Outbox
from smarttrade.web.edge.http import EdgeProtocol
from smarttrade.web.server.accept import serve_web
from smarttrade.web.server.sockets import open_listeners
from smarttrade.web.server_limits import ServerCounters, ServerLimits
from tests.smarttrade.web.raw_client import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Application,
    Footprint,
    RawClient,
    Served,
    frame,
    served,
    upgrade_request,
)

GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"


async def get(server: Served, target: bytes = b"/hello") -> tuple[int, bytes, bytes]:
    client = await server.connect()
    await client.send(GET % target)
    response = await client.response()
    await client.close()
    return response


# Serving


async def test_http_and_websocket_clients_are_served() -> None:
    async with served() as server:
        client = await server.websocket("/ws?me")
        await client.say("hi")
        assert await client.text() == "echo hi"
        assert isinstance(server.application.outboxes["me"], Outbox)
        assert (await get(server))[::2] == (200, b"hello")
        await client.close()


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with served() as server:
        client = await server.connect()
        for _ in range(3):
            await client.send(GET % b"/hello" * 2)
            assert (await client.response())[0] == (await client.response())[0] == 200
        assert server.counters.accepted == 1
        await client.close()


async def test_a_client_that_closes_is_answered_and_gone() -> None:
    async with served() as server:
        footprint = Footprint.now()
        client = await server.websocket()
        await client.send(frame(CLOSE, b"\x03\xe8"))
        assert await client.close_code() == 1000
        assert await client.rest() == b""
        await client.close()
        await footprint.restored()


async def test_a_ping_is_answered() -> None:
    async with served() as server:
        client = await server.websocket()
        await client.send(frame(PING, b"are you there"))
        assert await client.next_frame() == (PONG, b"are you there")
        await client.close()


async def test_no_frame_follows_a_close_frame() -> None:
    async with served() as server:
        client = await server.websocket("/ws?me")
        outbox = server.application.outboxes["me"]
        server.application.draining.set()
        assert await client.close_code() == 1001
        outbox.post_once(frame(TEXT, b"late", masked=False))
        assert await client.rest() == b""
        await client.close()


async def test_a_client_that_does_not_answer_our_close_is_let_go() -> None:
    async with served(drain_timeout=5) as server:
        client = await server.websocket()
        server.application.draining.set()
        assert await client.close_code() == 1001
        with trio.fail_after(2):
            await server.finished.wait()
        assert server.counters.cut_off == 0
        await client.close()


async def test_a_handler_that_fails_ends_only_its_own_session() -> None:
    async with served() as server:
        healthy = await server.websocket()
        for target in ("/fails", "/stray-cancelled"):
            client = await server.websocket(target)
            await client.close_code()
            await client.close()
        await healthy.say("hi")
        assert await healthy.text() == "echo hi"
        assert server.counters.open == 1
        await healthy.close()


async def test_a_mistake_in_our_own_code_ends_only_one_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = EdgeProtocol.handle

    async def fail(self: EdgeProtocol, event: Event) -> None:
        if isinstance(event, RawData) and event.data == b"fail":
            raise RuntimeError("a bug")
        await handle(self, event)

    monkeypatch.setattr(EdgeProtocol, "handle", fail)
    async with served() as server:
        healthy, client = await server.websocket(), await server.connect()
        await client.send(b"fail")
        assert await client.rest() == b""
        await healthy.say("hi")
        assert await healthy.text() == "echo hi"
        assert (server.counters.failed, server.counters.open) == (1, 1)


async def test_our_last_words_are_not_overtaken_by_a_reset() -> None:
    """A socket closed with input unread is reset: some systems then drop what came before."""
    async with served(linger=2) as server:
        client = await server.websocket()
        await client.send(frame(TEXT, b"x" * 200_000))
        assert await client.close_code() == 1009
        assert await client.stream.receive_some() == b""
        await client.close()


async def test_what_comes_before_the_accept_is_kept() -> None:
    async with served() as server:
        client = await server.connect()
        await client.send(upgrade_request("/slow-accept") + frame(TEXT, b"first"))
        await client.send(frame(TEXT, b"second"))
        await trio.sleep(0.02)
        server.application.go_on.set()
        await client.head()
        await client.say("third")
        assert [await client.text() for _ in range(3)] == [
            "echo first",
            "echo second",
            "echo third",
        ]
        await client.close()


async def test_the_application_starts_before_and_stops_after_its_clients() -> None:
    async with served() as server:
        assert server.application.events == ["starts"]
        client = await server.websocket()
        server.application.draining.set()
        assert await client.close_code() == 1001
        await client.close()
        await server.finished.wait()
        assert server.application.events == ["starts", "stops"]


async def test_an_application_that_cannot_start_is_not_served(nursery: trio.Nursery) -> None:
    app = QuartTrio(__name__)
    app.logger.disabled = True

    @app.before_serving
    async def fail() -> None:
        raise RuntimeError("no store")

    listeners = await open_listeners("127.0.0.1", 0)
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="no store")):
        await serve(app, listeners)
    assert [listener.socket.fileno() for listener in listeners] == [-1] * len(listeners)


async def test_a_background_task_that_fails_takes_the_server_with_it() -> None:
    """The supervisor must know; the server must not go on without it."""
    app = QuartTrio(__name__)

    async def fail() -> None:
        raise RuntimeError("a bug")

    @app.before_serving
    async def start() -> None:
        app.nursery.start_soon(fail)

    with trio.fail_after(2), pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug")):
        await serve(app, await open_listeners("127.0.0.1", 0))


async def serve(
    app: QuartTrio, listeners: Sequence[trio.abc.Listener[Any]], **options: Any
) -> None:
    arguments: dict[str, Any] = {
        "limits": ServerLimits(),
        "counters": ServerCounters(),
        "draining": trio.Event(),
        "drain_timeout": 1,
    }
    await serve_web(app, listeners, **{**arguments, **options})


# Clients that do not read


async def test_one_client_that_reads_nothing_harms_no_other() -> None:
    async with served() as server:
        healthy = [await server.websocket(f"/ws?{number}") for number in range(20)]
        stuck = await server.websocket("/ws?stuck", receive_buffer=4096)
        received: list[list[str]] = [[] for _ in healthy]
        async with trio.open_nursery() as readers:
            for client, texts in zip(healthy, received, strict=True):
                readers.start_soon(read, client, texts, 100)
            for number in range(100):
                server.application.post(number, size=20_000)
                await trio.sleep(0.001)
        assert [[text.split()[1] for text in texts] for texts in received] == [
            [str(number) for number in range(100)]
        ] * 20
        while server.counters.open > 20:
            await trio.sleep(0.05)
        assert server.counters.outbox.evicted == 1
        for client in (*healthy, stuck):
            await client.close()


async def read(client: RawClient, texts: list[str], count: int) -> None:
    while len(texts) < count:
        texts.append(await client.text())


async def test_a_client_with_too_much_pending_is_closed_with_1013() -> None:
    async with served(max_pending_bytes=100_000, stall_limit=30) as server:
        client = await server.websocket("/ws?me", receive_buffer=4096)
        for number in range(1000):
            server.application.post(number, size=20_000)
        assert server.counters.outbox.overflowed == 1
        assert await client.close_code() == 1013
        await client.close()


async def test_a_download_that_is_not_read_is_cut_off() -> None:
    async with served() as server:
        footprint = Footprint.now()
        client = await server.connect(receive_buffer=4096)
        await client.send(GET % b"/large")
        while server.counters.outbox.evicted == 0:
            await trio.sleep(0.05)
        await client.close()
        await footprint.restored()


async def test_a_client_that_goes_with_requests_unanswered_is_forgotten() -> None:
    """The reader waits for the first answer before it looks at the second request."""
    async with served(stall_limit=60) as server:
        footprint = Footprint.now()
        client = await server.connect(receive_buffer=4096)
        await client.send(GET % b"/large" * 2)
        await client.head()
        await client.close()
        await footprint.restored()


async def test_a_handler_that_sends_to_a_client_that_went_is_ended() -> None:
    async with served() as server:
        footprint = Footprint.now()
        client = await server.websocket("/deaf-sender")
        await client.text()
        await client.close()
        await footprint.restored()


@pytest.mark.parametrize("messages", [0, 10, 43, 60])
async def test_a_handler_that_hears_nothing_is_ended_after_its_client(messages: int) -> None:
    """With 43 messages, Quart's queue and ours are just full."""
    async with served() as server:
        footprint = Footprint.now()
        client = await server.websocket("/deaf")
        await client.send(frame(TEXT, b"hello") * messages)
        await trio.sleep(0.01)
        await client.close()
        await footprint.restored()


# Limits


async def test_beyond_the_limit_a_client_gets_the_reason_and_others_are_unharmed() -> None:
    async with served(max_connections=2) as server:
        first, second = [await server.websocket(f"/ws?{number}") for number in range(2)]
        status, head, body = await get(server)
        assert (status, json.loads(body)["code"]) == (503, "too_many_connections")
        assert b"retry-after: 10" in head
        assert b"application/problem+json" in head
        await first.say("hi")
        assert await first.text() == "echo hi"
        assert server.counters.refused_full == 1

        await second.close()
        while server.counters.open > 1:
            await trio.sleep(0.01)
        assert (await get(server))[0] == 200
        await first.close()


async def test_one_address_has_a_limit_of_its_own() -> None:
    async with served(max_connections_per_ip=1) as server:
        first = await server.websocket()
        status, _, body = await get(server)
        assert (status, json.loads(body)["code"]) == (503, "too_many_connections_from_your_address")
        assert server.counters.refused_per_ip == 1
        await first.close()
        while server.counters.open:
            await trio.sleep(0.01)
        assert (await get(server))[0] == 200


async def test_refused_clients_that_stay_are_few_and_soon_gone() -> None:
    async with served(max_connections=0, max_refusals=3) as server:
        footprint = Footprint.now()
        clients = [await server.connect() for _ in range(10)]
        await trio.sleep(0.05)
        assert Footprint.now().tasks <= footprint.tasks + 3
        for client in clients:
            await client.close()
        await footprint.restored()


async def test_an_idle_connection_is_closed() -> None:
    async with served(keep_alive=0.1) as server:
        silent, after_request = await server.connect(), await server.connect()
        await after_request.send(GET % b"/hello")
        assert (await after_request.response())[0] == 200
        for client in (silent, after_request):
            assert await client.rest() == b""
            await client.close()


async def test_a_request_that_comes_too_slowly_is_cut_off() -> None:
    async with served(head_timeout=0.1) as server:
        client = await server.connect()
        started = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await drip(client, GET % b"/hello" * 10)
        assert trio.current_time() - started < 0.5
        await client.close()


async def drip(client: RawClient, data: bytes) -> None:
    for byte in data:
        await client.send(bytes([byte]))
        await trio.sleep(0.01)


async def test_a_request_under_way_has_no_such_limit() -> None:
    async with served(head_timeout=0.05, keep_alive=0.05) as server:
        client = await server.connect()
        await client.send(GET % b"/waits")
        await trio.sleep(0.1)
        server.application.go_on.set()
        assert (await client.response())[::2] == (200, b"waited")
        await client.close()


class Exhausted(trio.abc.Listener[trio.SocketStream]):
    """A listener in a process without file descriptors, for a while."""

    def __init__(self, inner: trio.SocketListener, failures: int) -> None:
        self.inner = inner
        self.failures = failures

    async def accept(self) -> trio.SocketStream:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return await self.inner.accept()

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_without_file_descriptors_the_server_waits_and_goes_on(
    nursery: trio.Nursery,
) -> None:
    counters = ServerCounters()
    (inner, *others) = await open_listeners("127.0.0.1", 0)
    for other in others:
        await other.aclose()
    listener = Exhausted(inner, failures=2)
    app = Application().build()
    await nursery.start(
        partial(
            serve_web,
            app,
            [listener],
            limits=ServerLimits(),
            counters=counters,
            draining=trio.Event(),
            drain_timeout=1,
        )
    )
    client = RawClient(await trio.testing.open_stream_to_socket_listener(inner))
    await client.send(GET % b"/hello")
    assert (await client.response())[0] == 200
    assert counters.accept_paused == 2
    await client.close()
    nursery.cancel_scope.cancel()


# Stopping


async def test_draining_ends_sessions_with_1001_and_refuses_new_ones() -> None:
    async with served(drain_timeout=3) as server:
        clients = [await server.websocket(f"/ws?{number}") for number in range(5)]
        idle = await server.connect()
        server.application.draining.set()
        for client in clients:
            assert await client.close_code() == 1001
            await client.close()
        assert await idle.rest() == b""
        await idle.close()
        with trio.fail_after(2):
            await server.finished.wait()
        assert server.counters.cut_off == 0
        with pytest.raises(OSError, match="refused"):
            await server.connect()


async def test_draining_lets_a_request_finish() -> None:
    async with served(drain_timeout=3) as server:
        client = await server.connect()
        await client.send(GET % b"/waits")
        while "waiting" not in server.application.events:
            await trio.sleep(0.01)
        server.application.draining.set()
        await trio.sleep(0.02)
        server.application.go_on.set()
        assert (await client.response())[::2] == (200, b"waited")
        await client.close()
        with trio.fail_after(2):
            await server.finished.wait()


@pytest.mark.parametrize("target", ["/ws?stuck", "/deaf-sender", "/never-accepts", "/large"])
async def test_a_client_that_reads_nothing_does_not_delay_the_stop(target: str) -> None:
    async with served(drain_timeout=0.2, stall_limit=60) as server:
        client = await stuck_client(server, target)
        server.application.draining.set()
        started = trio.current_time()
        await server.finished.wait()
        assert trio.current_time() - started < 1
        assert server.counters.cut_off == 1
        await client.close()


@pytest.mark.parametrize("target", ["/ws?stuck", "/deaf-sender", "/never-accepts", "/large"])
async def test_cancelling_the_server_is_prompt(target: str) -> None:
    async with served(drain_timeout=60, stall_limit=60) as server:
        client = await stuck_client(server, target)
        started = trio.current_time()
        server.scope.cancel()
        await server.finished.wait()
        assert trio.current_time() - started < 1
        await client.close()


async def stuck_client(server: Served, target: str) -> RawClient:
    """A client that reads nothing and for which something is being written, or may be."""
    client = await server.connect(receive_buffer=4096)
    await client.send(GET % target.encode() if target == "/large" else upgrade_request(target))
    await trio.sleep(0.05)
    for number in range(300):
        server.application.post(number, size=20_000)
    await trio.sleep(0.05)
    return client


# No sockets at all


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Connections without sockets, for virtual time."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)

    def connect(self, pair: Callable[[], Any] = memory_stream_pair) -> RawClient:
        ours, theirs = pair()
        self._send.send_nowait(ours)
        return RawClient(theirs)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        await self._receive.aclose()


async def test_everything_works_in_memory_and_virtual_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    listener, application = MemoryListener(), Application()
    await nursery.start(
        partial(
            serve_web,
            application.build(),
            [listener],
            limits=ServerLimits(),
            counters=(counters := ServerCounters()),
            draining=application.draining,
            drain_timeout=5,
        )
    )
    session, idle = listener.connect(), listener.connect()
    await session.upgrade("/ws?me")
    await application.joined("/ws?me")
    application.post(1)
    assert await session.text() == "candle 1"

    await idle.send(GET % b"/hello")
    assert (await idle.response())[0] == 200
    assert await idle.rest() == b""
    assert trio.current_time() == ServerLimits().keep_alive

    application.draining.set()
    assert await session.close_code() == 1001
    await session.close()
    await wait_all_tasks_blocked()
    assert counters.open == 0


async def test_a_stream_that_takes_nothing_does_not_delay_the_stop(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Without a socket a write cannot be cancelled halfway."""
    listener, application = MemoryListener(), Application()
    async with trio.open_nursery() as serving:
        await serving.start(
            partial(
                serve_web,
                application.build(),
                [listener],
                limits=ServerLimits(stall_limit=60),
                counters=(counters := ServerCounters()),
                draining=application.draining,
                drain_timeout=5,
            )
        )
        client = listener.connect(lockstep_stream_pair)
        await client.upgrade("/ws?stuck")
        await application.joined("/ws?stuck")
        application.post(1)
        await wait_all_tasks_blocked()
        application.draining.set()
    assert trio.current_time() == 5
    assert counters.cut_off == 1
    await client.close()
