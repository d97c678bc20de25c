"""Connections: HTTP requests one after the other, or a handshake and then a stream."""

from __future__ import annotations

from base64 import b64encode
from email.utils import formatdate
from functools import partial
from hashlib import sha1

import h11
import structlog
import trio

from .control import answer_control
from .exchange import Exchange
from .http import HttpConnection, Request, Response, json_response
from .limits import Refusal
from .rest import answer_api, refuse
from .session import Session
from .subscriptions import Subscriptions, TooManyStreams
from .transport import Transport
from .trouble import answer_with_trouble, failure

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

    Hands back the port that was bound, which is a free one for `port` 0.

    Raises:
        OSError: the port cannot be bound.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    exchange.now()  # its time starts here, not with the first visitor
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, partial(_serve_socket, exchange), listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


async def _serve_socket(exchange: Exchange, stream: trio.SocketStream) -> None:
    try:
        peer = stream.socket.getpeername()[0]
    except OSError:  # it has left already
        peer = "unknown"
    await serve_connection(exchange, stream, peer)


async def serve_connection(exchange: Exchange, stream: trio.abc.Stream, peer: str) -> None:
    """Serve one connection until it ends, and close it.

    Nothing that a client does escapes from here; an error of our own ends this connection and is
    logged.
    """
    exchange.stats.connections += 1
    transport = Transport(stream, peer, exchange.stats.connections)
    exchange.transports[transport.number] = transport
    try:
        with transport.scope:
            await _converse(exchange, transport)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    except Exception:
        log.exception("simulator_connection_failed", peer=peer)
    finally:
        del exchange.transports[transport.number]
        await transport.aclose()


async def _converse(exchange: Exchange, transport: Transport) -> None:
    if exchange.faults.refuse.value is not None:
        transport.reset()
        return
    http = HttpConnection(transport)
    try:
        while (request := await http.receive()) is not None:
            if request.wants_websocket:
                await _open_stream(exchange, http, transport, request)
                return
            response = await _answer(exchange, transport, request)
            exchange.stats.requests[request.path, response.status] += 1
            await http.respond(response, _date(exchange))
    except h11.RemoteProtocolError as problem:
        await http.refuse(problem, _date(exchange))


def _date(exchange: Exchange) -> str:
    return formatdate(exchange.now() / 1000, usegmt=True)


async def _answer(exchange: Exchange, transport: Transport, request: Request) -> Response:
    if request.path.startswith("/sim"):
        return answer_control(exchange, request)
    return await answer_with_trouble(
        exchange.faults, lambda: answer_api(exchange, request, transport.peer)
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
    try:
        subscriptions = Subscriptions(names, combined=combined)
        too_many = False
    except TooManyStreams:
        subscriptions, too_many = Subscriptions((), combined=combined), True
    session = Session(exchange, transport, subscriptions, trailing)
    exchange.sessions[session.number] = session
    try:
        await session.run(refusing="Too many streams" if too_many else None)
    finally:
        del exchange.sessions[session.number]


async def _refuse_handshake(
    exchange: Exchange, transport: Transport, request: Request
) -> Response | None:
    """The answer to a handshake that fails; None for one that may go on."""
    faults = exchange.faults
    if faults.no_handshake.value is not None:
        exchange.stats.handshakes[0] += 1
        await trio.sleep_forever()
    status = faults.handshake_status.value
    if status is not None:
        return failure(status, faults.handshake_status.seconds_left)
    if not exchange.limits.attempts(transport.peer).admits(trio.current_time()):
        return refuse(Refusal(429, 300))
    if request.path not in ("/stream", "/ws") and not request.path.startswith("/ws/"):
        return json_response(404, {"code": -1000, "msg": "Not found"})
    if "sec-websocket-key" not in request.headers:
        return json_response(400, {"code": -1000, "msg": "Sec-WebSocket-Key is missing"})
    return None


def _streams(request: Request) -> tuple[list[str], bool]:
    """The streams that a URL names, and whether their payloads are combined."""
    if request.path == "/stream":
        return (request.parameter("streams") or "").split("/"), True
    return request.path.removeprefix("/ws").split("/"), False


def _accept(key: str) -> str:
    digest = sha1((key + HANDSHAKE_GUID).encode(), usedforsecurity=False).digest()
    return b64encode(digest).decode()
