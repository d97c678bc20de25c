"""One stream connection to the exchange: every wait bounded, every way to die one exception.

The WebSocket's reader lives in a nursery that is closed with the connection, and whatever comes
out of it is translated. A stray `Cancelled` from inside never gets out: it would silently cancel
whoever surrounds the connection.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import trio

from .dial import DEFAULT_PORTS, Dial
from .errors import StreamDown
from .proxy import ProxyError
from .websocket import HandshakeFailed, HandshakeRefused, WebSocket, WebSocketClosed, open_websocket

CONNECT_TIMEOUT = 10.0  # seconds for TCP, TLS and the WebSocket handshake together
SEND_TIMEOUT = 5.0
PROBE_AFTER = 20.0
"""Seconds without a message after which the other side must answer a ping. Series without trades
are silent for longer, so silence alone proves nothing."""
PONG_TIMEOUT = 10.0

QUEUE = 256
"""Messages read ahead of `receive`. The reader answers the exchange's pings only while there is
room, so it is more than one burst."""
MAX_BYTES = 1024 * 1024  # of one message; a kline event has 400


class Connection:
    """An open connection, for as long as `run_connection` lasts."""

    def __init__(self, websocket: WebSocket, stream: trio.abc.Stream) -> None:
        self._websocket = websocket
        self._stream = stream
        self._heard = trio.current_time()

    async def receive(self) -> str | bytes:
        """The next message. Those that came together come one after the other without a pause.

        Raises:
            StreamDown: the connection ended.
        """
        try:
            message = await self._websocket.receive()
        except WebSocketClosed as error:
            raise StreamDown(f"closed: {error}") from error
        self._heard = trio.current_time()
        return message

    async def send(self, message: str) -> None:
        """Send a message whole, or end the connection: half a frame cannot be followed.

        Raises:
            StreamDown: it could not be sent within `SEND_TIMEOUT` seconds.
        """
        sent = False
        try:
            with trio.move_on_after(SEND_TIMEOUT):
                await self._websocket.send(message)
                sent = True
        except WebSocketClosed as error:
            raise StreamDown(f"closed: {error}") from error
        finally:
            if not sent:
                await trio.aclose_forcefully(self._stream)
        if not sent:
            raise StreamDown(f"could not send within {SEND_TIMEOUT:.0f} s")

    async def probe_when_silent(self) -> None:
        """Watch, for as long as the connection lasts, that a silent other side is still there.

        Raises:
            StreamDown: it did not answer a ping within `PONG_TIMEOUT` seconds.
        """
        while True:
            # A time, not a pause: one that rounding makes too short for the clock would never end.
            due = self._heard + PROBE_AFTER
            if trio.current_time() < due:
                await trio.sleep_until(due)
                continue
            answered = False
            with trio.move_on_after(PONG_TIMEOUT):
                try:
                    await self._websocket.ping()
                except WebSocketClosed as error:
                    raise StreamDown(f"closed: {error}") from error
                answered = True
            if not answered:
                raise StreamDown(f"silent, and no pong within {PONG_TIMEOUT:.0f} s")
            await trio.sleep(PROBE_AFTER)


async def run_connection(
    url: str, dial: Dial, talk: Callable[[Connection], Awaitable[None]]
) -> None:
    """Connect to `url` and run `talk`; the connection is closed when it returns or raises.

    Raises:
        StreamDown: the connection could not be opened or has ended. What `talk` itself raises
            comes out as it is.
    """
    outcome: BaseException | None = None
    surrounding: BaseException | None = None
    stream: trio.abc.Stream | None = None
    deadline = trio.current_time() + CONNECT_TIMEOUT
    try:
        async with trio.open_nursery() as nursery:
            try:
                stream = await _connect(url, dial, deadline)
                websocket = await _open(stream, url, deadline)
                connection = Connection(websocket, stream)
                nursery.start_soon(websocket.read)
                nursery.start_soon(connection.probe_when_silent)
                await talk(connection)
            except BaseException as error:  # noqa: BLE001 - judged below, whatever it is
                outcome = error
            finally:
                if stream is not None:
                    await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()
    except BaseException as error:  # noqa: BLE001
        surrounding = error
    verdict = _verdict(outcome, surrounding)
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


async def _open(stream: trio.abc.Stream, url: str, deadline: float) -> WebSocket:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        with trio.fail_at(deadline):
            return await open_websocket(
                stream, _host(url), target, queue=QUEUE, most_bytes=MAX_BYTES
            )
    except trio.TooSlowError:
        raise StreamDown(f"{_host(url)}: no handshake in {CONNECT_TIMEOUT:.0f} s") from None
    except HandshakeRefused as refused:
        down = StreamDown(str(refused))
        down.status = refused.status
        told = refused.headers.get(b"retry-after", b"")
        down.retry_after = float(told) if told.isdigit() else 0.0
        raise down from refused
    except HandshakeFailed as error:
        raise StreamDown(f"{_host(url)}: protocol: {error}") from error


def _host(url: str) -> str:
    """As in the `Host` header: with the port, unless it is the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    return host if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"


def _verdict(
    outcome: BaseException | None, surrounding: BaseException | None
) -> BaseException | None:
    """What to raise, given what came out of the conversation and out of its nursery.

    The conversation's own exception counts most. If the nursery cancelled it, the reader's does.
    A `Cancelled` is genuine only when somebody outside has asked for it.
    """
    cancelled_outside = trio.current_effective_deadline() == -math.inf
    if outcome is not None and not isinstance(outcome, trio.Cancelled):
        return outcome
    if cancelled_outside and (outcome or surrounding):
        return outcome or surrounding
    if surrounding is None:
        return None if outcome is None else StreamDown("the connection's reader stopped")
    leaves = list(_leaves(surrounding))
    if not all(isinstance(leaf, (Exception, trio.Cancelled)) for leaf in leaves):
        return surrounding
    down = next((leaf for leaf in leaves if isinstance(leaf, StreamDown)), None)
    if down is None:
        down = StreamDown(f"the connection failed: {leaves[0]!r}")
        down.__cause__ = leaves[0]
    return down


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
