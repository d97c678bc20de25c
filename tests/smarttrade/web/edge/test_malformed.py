"""Whatever one client sends, the others are served and nothing is left of it.

What is written here first ended a whole server that used Hypercorn as it comes, or was left behind
by it. When another version of Hypercorn is taken, this is what says whether the edge still holds.
"""

from __future__ import annotations

import random
import socket
import struct
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from tests.smarttrade.web.raw_client import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Footprint,
    RawClient,
    Served,
    frame,
    frame_head,
    resident_memory,
    served,
    upgrade_request,
)

MEGABYTE = 1024 * 1024


@asynccontextmanager
async def unharmed(server: Served) -> AsyncGenerator[None]:
    """A client from before is served afterwards, a new one too, and nothing is leaked."""
    healthy = await server.websocket("/ws?healthy")
    footprint = Footprint.now()
    yield
    await healthy.say("still there?")
    assert await healthy.text() == "echo still there?"
    another = await server.websocket("/ws?another")
    await another.say("hi")
    assert await another.text() == "echo hi"
    await another.close()
    await footprint.restored()
    assert server.counters.failed == 0
    await healthy.close()


async def answer(client: RawClient, data: bytes, *, certain: bool) -> bytes:
    """What the server says to `data` until it ends or falls silent; `certain`ly something."""
    received = b""
    try:
        await client.send(data)
        while True:
            with trio.move_on_after(8 if certain and not received else 0.02) as silence:
                more = await client.stream.receive_some(65536)
            if silence.cancelled_caught or not more:
                break
            received += more
    except trio.BrokenResourceError:
        pass
    return received


# Before any WebSocket


def request(line: str = "GET /hello HTTP/1.1", *headers: str, body: bytes = b"") -> bytes:
    lines = [line, "Host: test", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def http2_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# :method GET, :scheme http, :path as a literal that is not ASCII
HTTP2_REQUEST = b"\x82\x86\x44\x02/\xff\x41\x04test"
CHUNKED = "Transfer-Encoding: chunked"

HEADS: dict[str, tuple[bytes, int | None]] = {
    "nothing but line ends": (b"\r\n" * 50, None),
    "random bytes": (random.Random(1).randbytes(4000), None),
    "zero bytes": (bytes(1000), 400),
    "no target": (b"GET\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /hello\r\n\r\n", 400),
    "HTTP/1.0 without host": (b"GET /hello HTTP/1.0\r\n\r\n", 200),
    "HTTP/3.0": (request("GET /hello HTTP/3.0"), 505),
    "HTTP/9.9": (request("GET /hello HTTP/9.9"), 505),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    "an SSH greeting": (b"SSH-2.0-OpenSSH_9.6\r\n", None),
    "a target of 20 KB": (request("GET /" + "x" * 20_000 + " HTTP/1.1"), 431),
    "headers of 20 KB": (request("GET /hello HTTP/1.1", "X-A: " + "x" * 20_000), 431),
    "headers of 60 KB in small lines": (request("GET / HTTP/1.1", *["X-A: " + "x" * 90] * 600), 431),
    "a head that never ends": (b"GET /hello HTTP/1.1\r\n" + b"X-A: b\r\n" * 4000, 431),
    "a line without colon": (request("GET /hello HTTP/1.1", "what is this"), 400),
    "a folded header": (request("GET /hello HTTP/1.1", "X-A: b", " c"), 200),
    "a header name that is not ASCII": (request("GET /hello HTTP/1.1", "X-\xe9: b"), 400),
    "a header value that is not ASCII": (request("GET /hello HTTP/1.1", "X-A: \xe9\xff"), 200),
    "a zero byte in a header": (request("GET /hello HTTP/1.1", "X-A: a\x00b"), 400),
    "a target that is not ASCII": (request("GET /\xff HTTP/1.1"), 400),
    "a target of escapes": (request("GET /%00%ff%2e%2e/%zz HTTP/1.1"), 404),
    "a target without path": (request("GET ?x=1 HTTP/1.1"), 400),
    "a target with two slashes": (request("GET //hello HTTP/1.1"), None),
    "an absolute target": (request("GET http://test/hello HTTP/1.1"), 200),
    "a query that is not UTF-8": (request("GET /hello?%ff=%fe HTTP/1.1"), 200),
    "no host": (b"GET /hello HTTP/1.1\r\n\r\n", 400),
    "two hosts": (request("GET /hello HTTP/1.1", "Host: other"), 400),
    "CONNECT": (request("CONNECT test:443 HTTP/1.1"), None),
    "TRACE": (request("TRACE /hello HTTP/1.1"), 405),
    "OPTIONS *": (request("OPTIONS * HTTP/1.1"), None),
    "an unknown method": (request("BREW /hello HTTP/1.1"), 405),
    "HEAD": (request("HEAD /hello HTTP/1.1"), 200),
    "a negative length": (request("GET /hello HTTP/1.1", "Content-Length: -1"), 400),
    "a length that is no number": (request("GET /hello HTTP/1.1", "Content-Length: ten"), 400),
    "a length of 40 digits": (request("POST /echo HTTP/1.1", "Content-Length: " + "9" * 40), None),
    "a length of 600 MB": (request("POST /echo HTTP/1.1", "Content-Length: 600000000"), 413),
    "600 MB that wait for 100 Continue": (
        request("POST /echo HTTP/1.1", "Content-Length: 600000000", "Expect: 100-continue"),
        413,
    ),
    "two lengths": (
        request("POST /echo HTTP/1.1", "Content-Length: 1", "Content-Length: 2", body=b"ab"),
        400,
    ),
    "a length and chunks": (
        request("POST /echo HTTP/1.1", "Content-Length: 1", CHUNKED, body=b"0\r\n\r\n"),
        None,
    ),
    "chunks": (request("POST /echo HTTP/1.1", CHUNKED, body=b"2\r\nhi\r\n0\r\n\r\n"), 200),
    "9000 chunks": (request("POST /echo HTTP/1.1", CHUNKED, body=b"1\r\nx\r\n" * 9000), 413),
    "chunks that are not read": (request("GET /waits HTTP/1.1", CHUNKED, body=b"1\r\nx\r\n" * 99), None),
    "a chunk of no size": (request("POST /echo HTTP/1.1", CHUNKED, body=b"xyz\r\n\r\n"), 400),
    "an endless chunk": (request("POST /echo HTTP/1.1", CHUNKED, body=b"F" * 19 + b"\r\n" + bytes(9999)), 413),
    "an unknown encoding": (request("POST /echo HTTP/1.1", "Transfer-Encoding: gzip"), 501),
    "a body that is short": (request("POST /echo HTTP/1.1", "Content-Length: 9", body=b"x"), None),
    "a request in a request": (request() * 20 + b"garbage\r\n\r\n", 200),
    "HTTP/2 by prior knowledge": (PREFACE + http2_frame(4, 0, 0), 505),
    "HTTP/2 with a path that is not ASCII": (
        PREFACE + http2_frame(4, 0, 0) + http2_frame(1, 5, 1, HTTP2_REQUEST),
        505,
    ),
    "HTTP/2 by upgrade": (
        request("GET /hello HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
        200,
    ),
    "HTTP/2 by upgrade with broken settings": (
        request("GET /hello HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: \xff!"),
        200,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), HEADS.values(), ids=HEADS.keys())
async def test_a_strange_request(data: bytes, status: int | None) -> None:
    async with served() as server, unharmed(server):
        client = await server.connect()
        received = await answer(client, data, certain=status is not None)
        if status is not None:
            assert received.startswith(b"HTTP/1.1 %d " % status), received[:200]
        await client.close()


# Handshakes

SNEAKY = frame(TEXT, b"before the accept")
HANDSHAKES: dict[str, tuple[bytes, int | None]] = {
    "a frame behind": (upgrade_request() + SNEAKY, 101),
    "half a frame behind": (upgrade_request() + SNEAKY[:3], 101),
    "garbage behind": (upgrade_request() + b"\xff" * 100, 101),
    "a request behind": (upgrade_request() + request(), 101),
    "a frame behind what is never accepted": (upgrade_request("/never-accepts") + SNEAKY, None),
    "70 KB behind what is never accepted": (
        upgrade_request("/never-accepts") + frame(TEXT, b"x" * 70_000),
        413,
    ),
    "a frame behind what is not there": (upgrade_request("/nowhere") + SNEAKY, 404),
    "a protocol that is not ASCII": (upgrade_request("/ws", "Sec-WebSocket-Protocol: \xe9"), 400),
    "an extension that is not ASCII": (
        upgrade_request("/ws", "Sec-WebSocket-Extensions: \xe9"),
        400,
    ),
    "a connection that is not ASCII": (upgrade_request("/ws", "Connection: \xe9"), 400),
    "a key that is not ASCII": (upgrade_request().replace(b"dGhl", b"\xe9\xe9\xe9\xe9"), 400),
    "no key": (upgrade_request().replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
    "no version": (upgrade_request().replace(b"Sec-WebSocket-Version", b"X-Version"), 426),
    "another version": (upgrade_request().replace(b"Version: 13", b"Version: 7"), 426),
    "HTTP/1.0": (upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "POST": (upgrade_request().replace(b"GET", b"POST"), None),
    "a body": (upgrade_request("/ws", "Content-Length: 5") + b"hello", 400),
    "a body of no bytes": (upgrade_request("/ws", "Content-Length: 0"), 101),
    "a body of 600 MB": (upgrade_request("/ws", "Content-Length: 600000000"), 413),
    "chunks": (upgrade_request("/ws", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n", 400),
    "two upgrades": (upgrade_request("/ws", "Upgrade: h2c"), None),
    "only an upgrade": (upgrade_request().replace(b"Connection: Upgrade", b"X: y"), None),
    "an unknown subprotocol": (upgrade_request("/ws", "Sec-WebSocket-Protocol: mqtt"), 101),
    "strange window bits": (
        upgrade_request(
            "/ws", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99, ,;="
        ),
        101,
    ),
}


@pytest.mark.parametrize(("data", "status"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_a_strange_handshake(data: bytes, status: int | None) -> None:
    async with served() as server, unharmed(server):
        client = await server.connect()
        received = await answer(client, data, certain=status is not None)
        if status is not None:
            assert received.startswith(b"HTTP/1.1 %d " % status), received[:200]
        assert b"permessage-deflate" not in received.lower()
        await client.close()


async def test_a_refused_handshake_is_closed_by_us() -> None:
    async with served() as server:
        client = await server.connect()
        await client.send(upgrade_request().replace(b"Version: 13", b"Version: 7"))
        assert (await client.response())[0] == 426
        assert await client.rest() == b""
        await client.close()


# Frames


def bomb() -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    return deflate.compress(bytes(50 * MEGABYTE)) + deflate.flush(zlib.Z_SYNC_FLUSH)


@dataclass(frozen=True)
class FrameCase:
    data: bytes
    code: int | None = None
    """Of the close frame that answers it; None if the session goes on."""


FRAMES: dict[str, FrameCase] = {
    "unmasked": FrameCase(frame(TEXT, b"hello", masked=False), 1002),
    "a reserved opcode": FrameCase(frame(3, b"hello"), 1002),
    "a reserved control opcode": FrameCase(frame(11), 1002),
    "a reserved bit": FrameCase(frame(TEXT, b"hello", reserved=0x20), 1002),
    "compressed though never agreed": FrameCase(frame(TEXT, bomb(), reserved=0x40), 1002),
    "text that is not UTF-8": FrameCase(frame(TEXT, b"\xff\xfe"), 1007),
    "text that ends inside a character": FrameCase(frame(TEXT, b"\xe2\x82"), 1007),
    "a continuation of nothing": FrameCase(frame(0, b"hello"), 1002),
    "a text inside a text": FrameCase(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "a ping in pieces": FrameCase(frame(PING, b"a", fin=False), 1002),
    "a long ping": FrameCase(frame(PING, b"a" * 126), 1002),
    "a length in more bytes than it needs": FrameCase(
        b"\x81\xfe\x00\x05" + bytes(4) + b"hello", 1002
    ),
    "a length beyond 63 bits": FrameCase(b"\x81\xff" + b"\xff" * 8 + bytes(4), 1002),
    "a close of one byte": FrameCase(frame(CLOSE, b"\x03"), 1002),
    "a close with a code that is none": FrameCase(frame(CLOSE, b"\x00\x01"), 1002),
    "a close with a code of ours alone": FrameCase(frame(CLOSE, struct.pack("!H", 1006)), 1002),
    "a close with a reason that is not UTF-8": FrameCase(frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a close without code": FrameCase(frame(CLOSE), 0),
    "words after the close": FrameCase(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"and") * 100, 1000),
    "two closes": FrameCase(frame(CLOSE, b"\x03\xe8") * 2, 1000),
    "one byte too much": FrameCase(frame(TEXT, b"x" * (65536 + 1)), 1009),
    "one byte too much in pieces": FrameCase(
        frame(TEXT, b"x" * 65536, fin=False) + frame(0, b"x"), 1009
    ),
    "too many bytes in few characters": FrameCase(frame(TEXT, "€".encode() * 22_000), 1009),
    "as much as is allowed": FrameCase(frame(TEXT, b"x" * 65536)),
    "an empty text": FrameCase(frame(TEXT)),
    "an empty binary": FrameCase(frame(BINARY)),
    "empty pieces": FrameCase(frame(TEXT, fin=False) + frame(0, fin=False) * 5000 + frame(0)),
    "an unsolicited pong": FrameCase(frame(10, b"hello")),
    "half a head": FrameCase(b"\x81"),
    "half a frame": FrameCase(frame(TEXT, b"hello")[:-2]),
    "random bytes": FrameCase(random.Random(2).randbytes(4096), 1002),
}


async def test_compression_is_never_agreed_on() -> None:
    """What browsers offer, and then a frame as if we had taken it."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with served() as server, unharmed(server):
        client = await server.connect()
        before = resident_memory()
        await client.send(upgrade_request("/ws?compressed", offer))
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in head.lower()
        await client.send(frame(TEXT, bomb(), reserved=0x40))
        assert await client.close_code() == 1002
        assert resident_memory() - before < 20 * MEGABYTE
        await client.close()


@pytest.mark.parametrize("case", FRAMES.values(), ids=FRAMES.keys())
async def test_a_strange_frame(case: FrameCase) -> None:
    async with served() as server, unharmed(server):
        client = await server.websocket("/ws?strange")
        await client.send(case.data)
        if case.code is None:
            with trio.move_on_after(0.03):
                while (await client.next_frame())[0] != CLOSE:
                    pass
                raise AssertionError("the session ended")
        else:
            assert await client.close_code() == case.code
            await client.rest()
        await client.close()


@pytest.mark.parametrize("case", FRAMES.values(), ids=FRAMES.keys())
async def test_a_strange_frame_before_the_accept(case: FrameCase) -> None:
    """The application's own task handles it, and is cancelled by what it finds."""
    async with served() as server, unharmed(server):
        client = await server.connect()
        await client.send(upgrade_request("/ws?early") + case.data)
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        if case.code is not None:
            assert await client.close_code() == case.code
            await client.rest()
        await client.close()


async def test_a_message_as_long_as_allowed_arrives_whole() -> None:
    async with served() as server:
        client = await server.websocket()
        for data in (b"x" * 65536, "€".encode() * 21_845):
            await client.send(frame(TEXT, data[:30_000], fin=False) + frame(0, data[30_000:]))
            assert (await client.text()).encode() == b"echo " + data
        await client.close()


# Ends


async def test_a_reset_is_an_end_like_another() -> None:
    async with served() as server, unharmed(server):
        for data in (b"", request()[:10], upgrade_request(), upgrade_request() + SNEAKY[:3]):
            client = await server.connect()
            await client.send(data or b"\r\n")
            await trio.sleep(0.01)
            assert isinstance(client.stream, trio.SocketStream)
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await client.close()


async def test_a_client_that_ends_its_half_is_let_go() -> None:
    async with served() as server, unharmed(server):
        for data in (b"\r\n", request()[:10], upgrade_request()):
            client = await server.connect()
            await client.send(data)
            await trio.sleep(0.01)
            assert isinstance(client.stream, trio.SocketStream)
            await client.stream.send_eof()
            await client.rest()
            await client.close()


# Too much


async def test_a_frame_of_600_mb_is_refused_before_it_is_stored() -> None:
    async with served() as server, unharmed(server):
        client = await server.websocket("/ws?huge")
        before = resident_memory()
        await client.send(frame_head(TEXT, 600 * MEGABYTE) + bytes(70_000))
        assert await client.close_code() == 1009
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(client, bytes(MEGABYTE))
        assert resident_memory() - before < 20 * MEGABYTE
        await client.close()


async def send_for_ever(client: RawClient, data: bytes) -> None:
    with trio.fail_after(3):
        while True:
            await client.send(data)


@pytest.mark.parametrize(
    "data",
    [frame(TEXT, b"x" * 60_000), frame(TEXT, b"x") * 5000, frame(BINARY, b"x" * 1000) * 60],
    ids=["large", "small", "medium"],
)
async def test_messages_that_no_handler_takes_end_the_session(data: bytes) -> None:
    async with served() as server, unharmed(server):
        client = await server.websocket("/deaf")
        before = resident_memory()
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(client, data)
        assert server.counters.flooded == 1
        assert resident_memory() - before < 30 * MEGABYTE
        await client.close()


@pytest.mark.parametrize("fin", [True, False])
async def test_memory_of_messages_that_wait_has_a_limit(fin: bool) -> None:
    """With a character of four bytes all of a text takes four times its size."""
    text = frame(TEXT, "\N{GRINNING FACE}".encode() + b" " * 40_000, fin=fin)
    async with served(app_timeout=5, max_waiting_bytes=400_000) as server:
        clients = [await server.websocket("/deaf") for _ in range(3)]
        for client in clients:
            await client.send(text)
        while not server.counters.outbox.closed_for_memory:
            await trio.sleep(0.01)
        assert server.counters.outbox.closed_for_memory == 1
        assert server.counters.waiting_bytes() < 400_000
        for client in clients:
            await client.close()
        while server.counters.open:
            await trio.sleep(0.01)
        assert server.counters.waiting_bytes() == 0


async def test_a_burst_of_messages_is_answered_in_order() -> None:
    async with served() as server:
        client = await server.websocket()
        await client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(2000)))
        assert [await client.text() for _ in range(2000)] == [f"echo {n}" for n in range(2000)]
        await client.close()


async def test_pings_whose_pongs_are_not_read_end_the_session() -> None:
    async with served() as server, unharmed(server):
        client = await server.websocket("/ws?pings", receive_buffer=4096)
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(client, frame(PING, b"x" * 125) * 100)
        assert server.counters.outbox.evicted == 1
        await client.close()


async def test_a_body_of_any_length_is_not_stored() -> None:
    async with served() as server, unharmed(server):
        client = await server.connect()
        before = resident_memory()
        await client.send(request("POST /echo HTTP/1.1", CHUNKED))
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(client, b"100000\r\n" + bytes(MEGABYTE) + b"\r\n")
        assert resident_memory() - before < 20 * MEGABYTE
        await client.close()


async def test_many_slow_heads_are_cut_off_and_harm_no_other_client() -> None:
    async with served(head_timeout=0.2) as server, unharmed(server):
        clients = [await server.connect() for _ in range(50)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nX-A: ")
        for client in clients:
            await client.rest()
            await client.close()


async def test_a_thousand_connections_come_and_go() -> None:
    async with served(max_connections_per_ip=2000) as server, unharmed(server):
        for _ in range(20):
            clients = [await server.connect() for _ in range(50)]
            for client in clients:
                await client.close()


async def test_an_answer_after_a_malformed_body_is_no_failure() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served() as server, unharmed(server):
        for body in (b"zz\r\n", b"ffffffffffffffffffffff\r\n", b"3\r\nabcd\r\n"):
            client = await server.connect()
            await client.send(head + body)
            assert b"HTTP/1.1 4" in await client.rest()
            await client.close()
        assert server.counters.failed == 0
