"""A WebSocket client on trio-websocket: every wait is bounded, every failure is a `StreamDown`.

trio-websocket's reader runs in a nursery that is closed with the connection, and what it raises is
translated. A stray `Cancelled` from inside does not propagate: it would silently cancel the task
that owns the connection.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto import ConnectionType, WSConnection

from .dial import Dial
from .errors import StreamDown
from .handshake import HandshakeStream
from .message_queue import MessageQueue
from .proxy import DEFAULT_PORTS, ProxyError
from .send_limiter import SendLimiter

CONNECT_TIMEOUT = 10.0  # seconds for TCP, TLS and the WebSocket handshake together
SEND_TIMEOUT = 5.0
PROBE_AFTER = 20.0
"""Seconds without a message after which the server is sent a ping. Series without trades are silent
for longer, so silence alone proves nothing."""
PONG_TIMEOUT = 10.0  # seconds for the pong

QUEUE_SIZE = 256
"""Messages read ahead of `receive`. The reader answers the server's pings only while there is room,
so this is more than one burst."""
MAX_MESSAGE_SIZE = 1024 * 1024  # bytes; a kline event has 400
READ_SIZE = 65536  # bytes; about 150 kline events

ABNORMAL_CLOSURE = 1006
"""No close frame was received. Source: RFC 6455, 7.4.1."""


class WebSocket:
    """An open connection, for as long as `run_connection` lasts."""

    def __init__(
        self, connection: WebSocketConnection, stream: HandshakeStream, limiter: SendLimiter | None
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._limiter = limiter
        self._received_at = trio.current_time()

    async def receive(self) -> str | bytes:
        """The next message; those that arrived in one read are returned in one scheduler turn.

        Raises:
            StreamDown: the connection ended.
        """
        try:
            message = await self._connection.get_message()
        except ConnectionClosed as error:
            raise _closed(error) from error
        self._received_at = trio.current_time()
        return message

    async def send(self, message: str) -> None:
        """Send a whole message when the rate limit allows it, or end the connection.

        Nothing can follow half a frame, so a `send` that is cancelled ends the connection too.

        Raises:
            StreamDown: it could not be sent within `SEND_TIMEOUT` seconds.
        """
        sent = False
        try:
            with trio.move_on_after(SEND_TIMEOUT):
                await self._wait_for_turn()
                await self._connection.send_message(message)
                sent = True
        except ConnectionClosed as error:
            raise _closed(error) from error
        finally:
            if not sent:
                await trio.aclose_forcefully(self._stream)
        if not sent:
            raise StreamDown(f"could not send within {SEND_TIMEOUT:.0f} s")

    async def _wait_for_turn(self) -> None:
        if self._limiter is not None:
            while (ready_at := self._limiter.ready_at(now := trio.current_time())) > now:
                await trio.sleep_until(ready_at)

    async def probe_when_silent(self) -> None:
        """Send a ping whenever the server is silent for `PROBE_AFTER` seconds. Never returns.

        Raises:
            StreamDown: it did not answer a ping within `PONG_TIMEOUT` seconds.
        """
        while True:
            # `sleep_until`, since `sleep` of a rounding error would not advance the clock.
            due = self._received_at + PROBE_AFTER
            if trio.current_time() < due:
                await trio.sleep_until(due)
                continue
            answered = False
            with trio.move_on_after(PONG_TIMEOUT):
                try:
                    await self._connection.ping()
                except ConnectionClosed as error:
                    raise _closed(error) from error
                answered = True
            if not answered:
                raise StreamDown(f"silent, and no pong within {PONG_TIMEOUT:.0f} s")
            await trio.sleep(PROBE_AFTER)


async def run_connection(
    url: str,
    dial: Dial,
    handler: Callable[[WebSocket], Awaitable[None]],
    *,
    limiter: SendLimiter | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Connect to `url` and run `handler`; the connection is closed when it returns or raises.

    `limiter` delays what `handler` sends. It belongs to this connection alone. `headers` go with
    the handshake.

    Raises:
        StreamDown: the connection could not be opened or has ended. What `handler` itself raises
            propagates unchanged.
    """
    handler_error: BaseException | None = None
    nursery_error: BaseException | None = None
    finished = False
    stream: HandshakeStream | None = None
    deadline = trio.current_time() + CONNECT_TIMEOUT
    try:
        async with trio.open_nursery() as nursery:
            try:
                stream = HandshakeStream(await _connect(url, dial, deadline), _host(url), limiter)
                connection = await _shake_hands(nursery, stream, url, headers, deadline)
                websocket = WebSocket(connection, stream, limiter)
                nursery.start_soon(websocket.probe_when_silent)
                await handler(websocket)
                finished = True
            except BaseException as error:  # noqa: BLE001 - see _error_to_raise
                handler_error = error
            finally:
                if stream is not None:
                    await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()
    except BaseException as error:  # noqa: BLE001
        nursery_error = error
    error_to_raise = _error_to_raise(handler_error, nursery_error, finished=finished)
    if error_to_raise is not None:
        raise error_to_raise


async def _connect(url: str, dial: Dial, deadline: float) -> trio.abc.Stream:
    try:
        with trio.fail_at(deadline):
            return await dial(url)
    except trio.TooSlowError:
        raise StreamDown(f"{_host(url)}: no connection in {CONNECT_TIMEOUT:.0f} s") from None
    except ProxyError as error:
        raise StreamDown(f"{_host(url)}: {error}") from error
    except (OSError, trio.BrokenResourceError) as error:
        raise StreamDown(f"{_host(url)}: {error.__cause__ or error}") from error


async def _shake_hands(
    nursery: trio.Nursery,
    stream: HandshakeStream,
    url: str,
    headers: Mapping[str, str],
    deadline: float,
) -> WebSocketConnection:
    parts = urlsplit(url)
    host = _host(url)
    connection = WebSocketConnection(
        stream,
        WSConnection(ConnectionType.CLIENT),
        host=host,
        path=f"{parts.path}?{parts.query}" if parts.query else parts.path,
        client_extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        max_message_size=MAX_MESSAGE_SIZE,
        receive_buffer_size=READ_SIZE,
    )
    _set_queue(connection, MessageQueue(QUEUE_SIZE))
    try:
        with trio.fail_at(deadline):
            nursery.start_soon(connection._reader_task)  # noqa: SLF001 - see _set_queue
            await connection._open_handshake.wait()  # noqa: SLF001
    except trio.TooSlowError:
        raise StreamDown(f"{host}: no handshake in {CONNECT_TIMEOUT:.0f} s") from None
    return connection


def _set_queue(connection: WebSocketConnection, queue: MessageQueue) -> None:
    """Have a connection queue its messages there, not in a memory channel of its own.

    trio-websocket has no argument for that. The rest of what `wrap_client_stream` does is repeated
    in `_shake_hands`, as the queue must be set before its reader starts.
    """
    connection._send_channel = queue  # type: ignore[assignment]  # noqa: SLF001
    connection._recv_channel = queue  # type: ignore[assignment]  # noqa: SLF001


def _closed(error: ConnectionClosed) -> StreamDown:
    reason = error.reason
    code = ABNORMAL_CLOSURE if reason is None else reason.code
    text = "connection lost" if code == ABNORMAL_CLOSURE else (reason and reason.reason) or ""
    down = StreamDown(f"closed: {code} {text}".rstrip())
    down.close_code = code
    return down


def _host(url: str) -> str:
    """As in the `Host` header: with the port, unless it is the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    return host if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"


def _error_to_raise(
    handler_error: BaseException | None, nursery_error: BaseException | None, *, finished: bool
) -> BaseException | None:
    """The handler's own error takes precedence over what its nursery raised.

    If the nursery cancelled the handler, the reader's error is the reason. What happens to the
    reader after the handler has returned is ignored. A `Cancelled` is passed on only when it was
    requested from outside.
    """
    cancelled_outside = trio.current_effective_deadline() == -math.inf
    if handler_error is not None and not isinstance(handler_error, trio.Cancelled):
        return handler_error
    if cancelled_outside and (handler_error or nursery_error):
        return handler_error or nursery_error
    if nursery_error is None:
        return None if finished else StreamDown("the connection's reader stopped")
    leaves = list(_leaves(nursery_error))
    if not all(isinstance(leaf, (Exception, trio.Cancelled)) for leaf in leaves):
        return nursery_error
    return None if finished else _stream_down(leaves)


def _stream_down(leaves: list[BaseException]) -> StreamDown:
    for leaf in leaves:
        if isinstance(leaf, StreamDown):
            return leaf
    down = StreamDown(f"protocol: {leaves[0]!r}")
    down.__cause__ = leaves[0]
    return down


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
