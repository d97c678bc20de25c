"""One WebSocket connection, by trio-websocket: every wait bounded, every failure one exception.

trio-websocket's reader lives in a nursery that is closed with the connection, and whatever comes
out of it is translated. A stray `Cancelled` from inside never gets out: it would silently cancel
the task that owns the connection.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from .dial import Dial
from .errors import StreamDown
from .handshake import HandshakeStream
from .proxy import DEFAULT_PORTS, ProxyError

CONNECT_TIMEOUT = 10.0  # seconds for TCP, TLS and the WebSocket handshake together
SEND_TIMEOUT = 5.0
PROBE_AFTER = 20.0
"""Seconds without a message after which the server must answer a ping. Series without trades are
silent for longer, so silence alone proves nothing."""
PONG_TIMEOUT = 10.0

QUEUE_SIZE = 256
"""Messages read ahead of `receive`. The reader answers the server's pings only while there is room,
so it is more than one burst."""
MAX_MESSAGE_SIZE = 1024 * 1024  # bytes; a kline event has 400
READ_SIZE = 65536  # bytes; about 150 kline events

ABNORMAL_CLOSURE = 1006
"""No close frame was received. Source: RFC 6455, 7.4.1."""


class Connection:
    """An open connection, for as long as `run_connection` lasts."""

    def __init__(self, websocket: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self._websocket = websocket
        self._stream = stream
        self._heard_at = trio.current_time()

    async def receive(self) -> str | bytes:
        """The next message. Those that arrive in one read come one per turn of the scheduler.

        Raises:
            StreamDown: the connection ended.
        """
        try:
            message = await self._websocket.get_message()
        except ConnectionClosed as error:
            raise _closed(error) from error
        self._heard_at = trio.current_time()
        return message

    async def send(self, message: str) -> None:
        """Send a whole message, or end the connection: nothing can follow half a frame.

        Raises:
            StreamDown: it could not be sent within `SEND_TIMEOUT` seconds.
        """
        sent = False
        try:
            with trio.move_on_after(SEND_TIMEOUT):
                await self._websocket.send_message(message)
                sent = True
        except ConnectionClosed as error:
            raise _closed(error) from error
        finally:
            if not sent:
                await trio.aclose_forcefully(self._stream)
        if not sent:
            raise StreamDown(f"could not send within {SEND_TIMEOUT:.0f} s")

    async def probe_when_silent(self) -> None:
        """Check, for as long as the connection lasts, that a silent server is still there.

        Raises:
            StreamDown: it did not answer a ping within `PONG_TIMEOUT` seconds.
        """
        while True:
            # A time, not a pause: one that rounding makes too short for the clock would never end.
            due = self._heard_at + PROBE_AFTER
            if trio.current_time() < due:
                await trio.sleep_until(due)
                continue
            answered = False
            with trio.move_on_after(PONG_TIMEOUT):
                try:
                    await self._websocket.ping()
                except ConnectionClosed as error:
                    raise _closed(error) from error
                answered = True
            if not answered:
                raise StreamDown(f"silent, and no pong within {PONG_TIMEOUT:.0f} s")
            await trio.sleep(PROBE_AFTER)


async def run_connection(
    url: str, dial: Dial, handler: Callable[[Connection], Awaitable[None]]
) -> None:
    """Connect to `url` and run `handler`; the connection is closed when it returns or raises.

    Raises:
        StreamDown: the connection could not be opened or has ended. What `handler` itself raises
            propagates as it is.
    """
    outcome: BaseException | None = None
    surrounding: BaseException | None = None
    finished = False
    stream: trio.abc.Stream | None = None
    deadline = trio.current_time() + CONNECT_TIMEOUT
    try:
        async with trio.open_nursery() as nursery:
            try:
                stream = await _connect(url, dial, deadline)
                websocket = await _open(nursery, stream, url, deadline)
                connection = Connection(websocket, stream)
                nursery.start_soon(connection.probe_when_silent)
                await handler(connection)
                finished = True
            except BaseException as error:  # noqa: BLE001 - judged below, whatever it is
                outcome = error
            finally:
                if stream is not None:
                    await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()
    except BaseException as error:  # noqa: BLE001
        surrounding = error
    verdict = _verdict(outcome, surrounding, finished=finished)
    if verdict is not None:
        raise verdict


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


async def _open(
    nursery: trio.Nursery, stream: trio.abc.Stream, url: str, deadline: float
) -> WebSocketConnection:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    host = _host(url)
    try:
        with trio.fail_at(deadline):
            return await wrap_client_stream(
                nursery,
                HandshakeStream(stream, host),  # type: ignore[arg-type]  # any stream will do
                host,
                target,
                message_queue_size=QUEUE_SIZE,
                max_message_size=MAX_MESSAGE_SIZE,
                receive_buffer_size=READ_SIZE,
            )
    except trio.TooSlowError:
        raise StreamDown(f"{host}: no handshake in {CONNECT_TIMEOUT:.0f} s") from None


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


def _verdict(
    outcome: BaseException | None, surrounding: BaseException | None, *, finished: bool
) -> BaseException | None:
    """What to raise, given what came out of the handler and out of its nursery.

    The handler's own exception counts most. If the nursery cancelled it, the reader's does; what
    happens to the reader after the handler has returned is of no interest. A `Cancelled` is
    genuine only when it was requested outside.
    """
    cancelled_outside = trio.current_effective_deadline() == -math.inf
    if outcome is not None and not isinstance(outcome, trio.Cancelled):
        return outcome
    if cancelled_outside and (outcome or surrounding):
        return outcome or surrounding
    if surrounding is None:
        return None if finished else StreamDown("the connection's reader stopped")
    leaves = list(_leaves(surrounding))
    if not all(isinstance(leaf, (Exception, trio.Cancelled)) for leaf in leaves):
        return surrounding
    return None if finished else _down(leaves)


def _down(leaves: list[BaseException]) -> StreamDown:
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
