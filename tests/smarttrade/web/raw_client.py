"""A small application served on a real socket, and a client that may write anything to it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
import trio.lowlevel
from quart import ResponseReturnValue, websocket
from quart_trio import QuartTrio

from smarttrade.session.frame_queue import ClosedReason
from smarttrade.session.frames import FrameBatch
from smarttrade.session.outbox import Outbox
from smarttrade.web.access import Access
from smarttrade.web.server.accept import serve_web
from smarttrade.web.server.sockets import open_listeners
from smarttrade.web.server_limits import ServerCounters, ServerLimits
from tests.actors.fakes import leaked_cancelled
from tests.fakes.outboxes import ended

LIMITS: dict[str, Any] = {"linger": 0.1, "stall_limit": 0.3, "app_timeout": 0.3}
"""Short, so that the tests are."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass
class Application:
    """One HTTP route and one WebSocket route as a real session serves it, and some bad ones."""

    draining: trio.Event = field(default_factory=trio.Event)
    outboxes: dict[str, Outbox] = field(default_factory=dict)  # by the session's query string
    go_on: trio.Event = field(default_factory=trio.Event)
    events: list[str] = field(default_factory=list)

    def build(self) -> QuartTrio:
        app = QuartTrio(__name__)
        app.logger.disabled = True
        app.before_serving(self._starts)
        app.after_serving(self._stops)
        app.add_url_rule("/hello", view_func=self.hello)
        app.add_url_rule("/waits", view_func=self.waits)
        app.add_url_rule("/large", view_func=self.large)
        app.add_url_rule("/echo", view_func=self.echo_body, methods=["POST"])
        for path, handler in {
            "/ws": self.session,
            "/deaf": self.deaf,
            "/slow-accept": self.slow_accept,
            "/never-accepts": self.never_accepts,
            "/fails": self.fails,
            "/stray-cancelled": self.stray_cancelled,
            "/deaf-sender": self.deaf_sender,
        }.items():
            app.add_websocket(path, view_func=handler)
        return app

    async def joined(self, target: str) -> None:
        """Return when the session at `target` gets posts; its client may be answered earlier."""
        while target.removeprefix("/ws").removeprefix("?") not in self.outboxes:
            await trio.lowlevel.checkpoint()

    async def _starts(self) -> None:
        self.events.append("starts")

    async def _stops(self) -> None:
        self.events.append("stops")

    async def hello(self) -> str:
        return "hello"

    async def waits(self) -> str:
        self.events.append("waiting")
        await self.go_on.wait()
        return "waited"

    async def large(self) -> bytes:
        return b"x" * 20_000_000

    async def echo_body(self) -> ResponseReturnValue:
        from quart import request

        return await request.get_data()

    async def session(self) -> None:
        """Answers each message; ends as a session should when the server or its client must."""
        outbox: Outbox = websocket.scope["state"]["outbox"]
        name = websocket.query_string.decode()
        await websocket.accept()
        self.outboxes[name] = outbox
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, outbox, nursery.cancel_scope)
                nursery.start_soon(self._leave_when_draining)
                while True:
                    message = await websocket.receive()
                    text = message if isinstance(message, str) else repr(message)
                    outbox.post_once(frame(TEXT, f"echo {text}".encode(), masked=False))
        finally:
            del self.outboxes[name]

    async def _write(self, outbox: Outbox, session: trio.CancelScope) -> None:
        if await ended(outbox) is ClosedReason.OVERFLOWED:
            await websocket.close(1013, "too slow")
            session.cancel()

    async def _leave_when_draining(self) -> None:
        await self.draining.wait()
        await websocket.close(1001, "shutting down")

    async def deaf(self) -> None:
        await websocket.accept()
        await trio.sleep_forever()

    async def slow_accept(self) -> None:
        await self.go_on.wait()
        await self.session()

    async def never_accepts(self) -> None:
        await trio.sleep_forever()

    async def fails(self) -> None:
        await websocket.accept()
        raise RuntimeError("a bug")

    async def stray_cancelled(self) -> None:
        await websocket.accept()
        raise await leaked_cancelled()

    async def deaf_sender(self) -> None:
        await websocket.accept()
        while True:
            await websocket.send("x" * 1000)

    def post(self, number: int, *, size: int = 0) -> None:
        """The same frame to every session, as the hub does it."""
        data = frame(TEXT, f"candle {number}".encode().ljust(size), masked=False)
        batch = FrameBatch(data, ((number, data),))
        for outbox in self.outboxes.values():
            outbox.post(batch)


@dataclass
class Served:
    application: Application
    counters: ServerCounters
    port: int
    scope: trio.CancelScope
    finished: trio.Event
    clients: list[RawClient] = field(default_factory=list)

    async def connect(self, *, receive_buffer: int | None = None) -> RawClient:
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        client = RawClient(trio.SocketStream(sock))
        self.clients.append(client)
        return client

    async def websocket(self, target: str = "/ws", **options: Any) -> RawClient:
        client = await self.connect(**options)
        await client.upgrade(target)
        if target.startswith("/ws"):
            await self.application.joined(target)
        return client


@asynccontextmanager
async def served(
    *,
    drain_timeout: float = 0.5,
    build: Callable[[Application], QuartTrio] | None = None,
    access: Access | None = None,
    **limits: Any,
) -> AsyncGenerator[Served]:
    """The application on a free port; everything must be gone at most 5 s after the test's body."""
    application, counters = Application(), ServerCounters()
    listeners = await open_listeners("127.0.0.1", 0)
    scope, finished = trio.CancelScope(), trio.Event()

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await serve_web(
                build(application) if build else application.build(),
                listeners,
                limits=ServerLimits(**{**LIMITS, **limits}),
                counters=counters,
                draining=application.draining,
                drain_timeout=drain_timeout,
                access=access,
                task_status=task_status,
            )
        finished.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        server = Served(application, counters, port, scope, finished)
        try:
            with trio.fail_after(10):
                yield server
        finally:
            for client in server.clients:
                await trio.aclose_forcefully(client.stream)
        scope.cancel()
        with trio.fail_after(5):
            await finished.wait()
    assert counters.open == 0


class RawClient:
    """A client's end of a connection: what is sent is up to the test, what comes is parsed."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def upgrade(self, target: str = "/ws") -> None:
        await self.send(upgrade_request(target))
        head = await self.head()
        assert head.startswith(b"HTTP/1.1 101"), head

    async def say(self, text: str) -> None:
        await self.send(frame(TEXT, text.encode()))

    async def head(self) -> bytes:
        """The next response's status line and headers."""
        while b"\r\n\r\n" not in self._buffer:
            assert await self._more(), self._buffer
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    async def response(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of the next response with a length."""
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = await self._exactly(length)
        return int(head.split()[1]), head, body

    async def next_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the server's next frame."""
        first, size = await self._exactly(2)
        assert first & 0x70 == 0, "compressed"
        if size == 126:
            size = int.from_bytes(await self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._exactly(8), "big")
        return first & 15, await self._exactly(size)

    async def text(self) -> str:
        opcode, payload = await self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    async def close_code(self) -> int:
        """The code of the server's close frame, whatever comes before it."""
        while True:
            opcode, payload = await self.next_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    async def rest(self) -> bytes:
        """What still comes until the server ends, however it ends."""
        try:
            while await self._more():
                pass
        except trio.BrokenResourceError:
            pass
        return self._buffer

    async def close(self) -> None:
        await self.stream.aclose()

    async def _more(self) -> bool:
        data = await self.stream.receive_some(65536)
        self._buffer += data
        return bool(data)

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            assert await self._more(), (size, self._buffer)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


def upgrade_request(target: str = "/ws", *lines: str) -> bytes:
    return (
        f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        + "".join(f"{line}\r\n" for line in lines)
        + "\r\n"
    ).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, masked: bool = True, fin: bool = True, reserved: int = 0
) -> bytes:
    return frame_head(opcode, len(payload), masked=masked, fin=fin, reserved=reserved) + payload


def frame_head(
    opcode: int, size: int, *, masked: bool = True, fin: bool = True, reserved: int = 0
) -> bytes:
    """A head that promises `size` bytes; the mask is zero, so that a payload is itself."""
    first = (0x80 if fin else 0) | reserved | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (bytes(4) if masked else b"")


@dataclass(frozen=True)
class Footprint:
    """What a process may leak."""

    tasks: int
    files: int

    @classmethod
    def now(cls) -> Footprint:
        tasks = trio.lowlevel.current_statistics().tasks_living
        return cls(tasks, len(list(Path("/proc/self/fd").iterdir())))

    async def restored(self, *, within: float = 10.0) -> None:
        """Return when no more than this is left; what tests before this one left may be less."""
        with trio.move_on_after(within):
            while not Footprint.now().is_within(self):
                await trio.sleep(0.01)
        now = Footprint.now()
        assert now.is_within(self), (now, self)

    def is_within(self, other: Footprint) -> bool:
        return self.tasks <= other.tasks and self.files <= other.files


def resident_memory() -> int:
    """Bytes of physical memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
