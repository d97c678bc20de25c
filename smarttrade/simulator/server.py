"""Connections: HTTP requests one after the other, or a handshake and then a stream."""

from __future__ import annotations

from base64 import b64encode
from email.utils import formatdate
from functools import partial
from hashlib import sha1
from urllib.parse import unquote

import h11
import structlog
import trio

from .control import answer_control
from .exchange import Exchange
from .http import HttpConnection, Request, Response, json_response
from .refusals import refuse
from .rest import answer_api
from .rest_faults import answer_with_faults, refuse_handshake
from .stream_session import StreamSession
from .subscriptions import Subscriptions, TooManyStreams
from .transport import Transport

HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3

log = structlog.get_logger()


async def serve_exchange(
    exchange: Exchange,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve REST and streams on one port until cancelled; never returns.

    Starts with the port that was bound, which is a free one for `port` 0.

    Raises:
        OSError: the port cannot be bound.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    exchange.now()  # its time starts here, not with the first client
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, partial(_serve_socket, exchange), listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


async def _serve_socket(exchange: Exchange, stream: trio.SocketStream) -> None:
    try:
        peer = stream.socket.getpeername()[0]
    except OSError:  # it has left already
        peer = "unknown"
    await serve_connection(exchange, stream, peer)


async def serve_connection(
    exchange: Exchange, stream: trio.abc.Stream, peer: str = "memory"
) -> None:
    """Serve one connection until it ends, whatever kind of stream it is, and close it.

    No client's behaviour raises here; an error of our own ends this connection and is logged.
    """
    exchange.stats.connections += 1
    transport = Transport(stream, peer, exchange.stats.connections)
    transports = exchange.connections.transports
    transports[transport.number] = transport
    try:
        with transport.scope:
            await _run_connection(exchange, transport)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    except Exception:
        log.exception("simulator_connection_failed", peer=peer)
    finally:
        del transports[transport.number]
        await transport.aclose()


async def _run_connection(exchange: Exchange, transport: Transport) -> None:
    if exchange.faults.refuse.value is not None:
        transport.reset()
        return
    http = HttpConnection(transport)
    try:
        while (request := await http.receive()) is not None:
            if request.wants_websocket:
                await _open_stream(exchange, http, transport, request)
                return
            response = await answer(exchange, request, transport.peer)
            exchange.stats.requests[request.path, response.status] += 1
            await http.respond(response, _date(exchange))
    except h11.RemoteProtocolError as error:
        await http.refuse(error, _date(exchange))


def _date(exchange: Exchange) -> str:
    return formatdate(exchange.now() / 1000, usegmt=True)


async def answer(exchange: Exchange, request: Request, peer: str) -> Response:
    """Answer a request of an address, as the faults of the moment have it."""
    if request.path == "/sim" or request.path.startswith("/sim/"):
        return answer_control(exchange, request, peer)
    return await answer_with_faults(
        exchange, request, peer, lambda: answer_api(exchange, request, peer)
    )


async def _open_stream(
    exchange: Exchange, http: HttpConnection, transport: Transport, request: Request
) -> None:
    refusal = await _refuse_handshake(exchange, transport, request)
    if refusal is not None:
        exchange.stats.handshakes[refusal.status] += 1
        await http.respond(refusal, _date(exchange))
        return
    trailing = await http.switch_protocols(
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", _accept(request.headers["sec-websocket-key"])),
        ]
    )
    exchange.stats.handshakes[101] += 1
    await _run_session(exchange, transport, request, trailing)


async def _run_session(
    exchange: Exchange, transport: Transport, request: Request, trailing: bytes
) -> None:
    names, combined = _streams(request)
    refusing = None
    try:
        subscriptions = Subscriptions(names, combined=combined)
    except TooManyStreams:
        subscriptions, refusing = Subscriptions((), combined=combined), "Too many streams"
    session = StreamSession(exchange, transport, request.host, subscriptions, trailing)
    streams = exchange.connections.streams
    streams[transport.number] = session
    try:
        await session.run(refusing=refusing)
    finally:
        del streams[transport.number]


async def _refuse_handshake(
    exchange: Exchange, transport: Transport, request: Request
) -> Response | None:
    """The answer to a handshake that fails; None for one that may go on."""
    if exchange.faults.no_handshake.value is not None:
        exchange.stats.handshakes[0] += 1
        await trio.sleep_forever()
    if (refusal := refuse_handshake(exchange, request)) is not None:
        return refusal
    limit = exchange.limits.attempt(transport.peer, trio.current_time())
    if limit is not None:
        return refuse(exchange, limit)
    if request.path not in ("/stream", "/ws") and not request.path.startswith("/ws/"):
        return json_response(404, {"code": -1000, "msg": "Not found"})
    if "sec-websocket-key" not in request.headers:
        return json_response(400, {"code": -1000, "msg": "Sec-WebSocket-Key is missing"})
    return None


def _streams(request: Request) -> tuple[list[str], bool]:
    """The streams that a URL names, and whether their payloads are combined."""
    if request.path == "/stream":
        return (request.parameter("streams") or "").split("/"), True
    return unquote(request.path).removeprefix("/ws").split("/"), False


def _accept(key: str) -> str:
    digest = sha1((key + HANDSHAKE_GUID).encode(), usedforsecurity=False).digest()
    return b64encode(digest).decode()
