"""The accept loop and the ordered stop.

We accept connections ourselves, so that one connection cannot affect the others. Its exceptions end
here, its writes go through an `Outbox` that no client can block for long, and there are limits
before Hypercorn sees a byte (`edge/`).

The order of a stop, begun by the event `draining`:

1. The listeners close.
2. Connections between requests close at once, those within one after its answer. Sessions are the
   application's: they watch the same event and close with 1001.
3. After `drain_timeout` seconds what is left is reset, and cancelled.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
import trio
from hypercorn.utils import wrap_app
from quart_trio import QuartTrio

from ...session.outbox import Outbox
from ..access import Access
from ..addresses import address_of, network_of
from ..edge.connection import Connection
from ..edge.context import CLOSED_ERRORS, Edge, Peers, edge_for
from ..fast_path import FAST_PATH
from ..server_limits import ServerCounters, ServerLimits
from .refusal import refuse
from .sockets import configure_accepted
from .tls import TlsListener, TurnStream, tls_handshake

log = structlog.get_logger(__name__)

ACCEPT_PAUSE = 0.1  # seconds, when the process has no file descriptor left for another client
SHUTDOWN_TIMEOUT = 1.0  # seconds for the application's own after-serving functions


async def serve_web(
    app: QuartTrio,
    listeners: Sequence[trio.abc.Listener[Any]],
    *,
    limits: ServerLimits,
    counters: ServerCounters,
    draining: trio.Event,
    drain_timeout: float,
    access: Access | None = None,
    ssl_context: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `listeners` until `draining` is set and the clients are gone.

    Owns the listeners. Each WebSocket's scope holds its outbox: `scope["state"]["outbox"]`.
    Cancelling it resets every connection at once.

    Raises:
        Exception: what the application's before-serving functions or background tasks raise; no
            client's doing.
    """
    fast_path = app.extensions.get(FAST_PATH)
    edge = edge_for(wrap_app(app, 0, "asgi"), limits, counters, fast_path, access)
    counters.waiting_bytes = lambda: edge.networks.memory.total
    if ssl_context is not None:
        listeners = [TlsListener(listener, ssl_context, edge) for listener in listeners]
    server = _Server(edge)
    async with _owned(listeners), _started(app), trio.open_nursery() as connections:
        try:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(server.accept_from, listener, connections)
                task_status.started()
                await draining.wait()
                accepting.cancel_scope.cancel()
            with trio.move_on_after(drain_timeout):
                await server.drain()
        finally:
            await server.cut_off()
            connections.cancel_scope.cancel()


@asynccontextmanager
async def _owned(listeners: Sequence[trio.abc.Listener[Any]]) -> AsyncGenerator[None]:
    """Closed in the end, also when the application did not start."""
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener)
        yield


@asynccontextmanager
async def _started(app: QuartTrio) -> AsyncGenerator[None]:
    """The application's own start and stop, without ASGI's lifespan protocol.

    A background task of the application that fails ends the server, so that its supervisor reacts.
    """
    async with trio.open_nursery() as nursery:
        app.nursery = nursery
        await app.startup()
        try:
            yield
        finally:
            with trio.CancelScope(deadline=trio.current_time() + SHUTDOWN_TIMEOUT, shield=True):
                await app.shutdown()
            nursery.cancel_scope.cancel()


class _Server:
    """The connections that are open, and what may become of another one."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._clients: dict[Outbox, Connection] = {}
        self._networks = edge.networks
        self._refusals = 0
        self._draining = False
        self._all_gone = trio.Event()

    async def accept_from(
        self, listener: trio.abc.Listener[Any], connections: trio.Nursery
    ) -> None:
        """Accept until cancelled; owns the listener."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    self._edge.counters.accept_paused += 1
                    log.warning("accept_paused", reason=error.strerror)
                    await trio.sleep(ACCEPT_PAUSE)
                else:
                    connections.start_soon(self._take, stream)

    async def drain(self) -> None:
        """Ask every connection to end; return when the last one has."""
        self._draining = True
        await self._edge.context.terminated.set()
        for connection in self._clients.values():
            connection.end_if_idle()
        if self._clients:
            await self._all_gone.wait()

    async def cut_off(self) -> None:
        """Reset who is left: that ends a write, too, that cannot be cancelled halfway."""
        self._edge.counters.cut_off += len(self._clients)
        with trio.CancelScope(shield=True):
            for outbox in list(self._clients):
                await outbox.abort()

    async def _take(self, stream: trio.abc.Stream) -> None:
        """One accepted connection to its end. Its troubles stay its own."""
        self._edge.counters.accepted += 1
        try:
            await self._admit(stream)
        except CLOSED_ERRORS:
            pass
        except BaseException as error:  # noqa: BLE001 - _contain raises again what is not ours
            self._contain(error)
        finally:
            await trio.aclose_forcefully(stream)

    async def _admit(self, stream: trio.abc.Stream) -> None:
        limits, counters = self._edge.limits, self._edge.counters
        peers = _peers_of(stream, limits)
        network = self._network_of(peers)
        if self._draining:
            return
        if len(self._clients) >= limits.max_connections:
            counters.refused_full += 1
            await self._refuse(stream, "too_many_connections")
        elif network and self._networks.count(network) >= limits.max_connections_per_ip:
            counters.refused_per_ip += 1
            await self._refuse(stream, "too_many_connections_from_your_address")
        else:
            await self._serve(stream, peers, network)

    def _network_of(self, peers: Peers) -> str:
        """Whom the connection counts for; a trusted proxy's clients count for themselves."""
        if peers.client is None or self._edge.policy.is_proxy(peers.client[0]):
            return ""
        return network_of(peers.client[0])

    async def _serve(self, stream: trio.abc.Stream, peers: Peers, network: str) -> None:
        limits = self._edge.limits
        outbox = Outbox(
            stream,
            stall_limit=limits.stall_limit,
            max_pending_bytes=limits.max_pending_bytes,
            memory=self._networks.enter(network) if network else self._networks.memory,
            counters=self._edge.counters.outbox,
        )
        connection = Connection(self._edge, outbox, peers)
        self._edge.counters.open += 1
        self._clients[outbox] = connection
        try:
            if not connection.pays_for_tls():
                self._edge.counters.refused_rate += 1
            elif await tls_handshake(stream, within=limits.head_timeout):
                await connection.run()
            else:
                self._edge.counters.slow_heads += 1
        finally:
            self._leave(outbox, network)
            await trio.aclose_forcefully(outbox)  # without TLS it has not closed itself

    def _leave(self, outbox: Outbox, network: str) -> None:
        self._edge.counters.open -= 1
        del self._clients[outbox]
        if network:
            self._networks.leave(network)
        if self._draining and not self._clients:
            self._all_gone.set()

    async def _refuse(self, stream: trio.abc.Stream, code: str) -> None:
        log.warning("connection_refused", reason=code)
        if self._refusals < self._edge.limits.max_refusals:
            self._refusals += 1
            try:
                await refuse(stream, code)
            finally:
                self._refusals -= 1

    def _contain(self, error: BaseException) -> None:
        """Raise what must end the server too; count and log the rest."""
        leaving, fault = _split(error, (trio.Cancelled, KeyboardInterrupt, SystemExit))
        if fault is not None:
            self._edge.counters.failed += 1
            log.warning("connection_failed", exc_info=fault)
        if leaving is not None:
            raise leaving


def _split(
    error: BaseException, kinds: tuple[type[BaseException], ...]
) -> tuple[BaseException | None, BaseException | None]:
    """What in `error` is of these kinds, and what is not."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(kinds)
    return (error, None) if isinstance(error, kinds) else (None, error)


def _peers_of(stream: trio.abc.Stream, limits: ServerLimits) -> Peers:
    """The addresses; None for what is no socket. Sets the socket's options while we have it."""
    transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    secure = transport is not stream
    if isinstance(transport, TurnStream):
        transport = transport.stream
    if not isinstance(transport, trio.SocketStream):
        return Peers(None, None, secure)
    configure_accepted(transport.socket, stall_limit=limits.stall_limit)
    try:
        client = address_of(transport.socket.getpeername())
        return Peers(client, address_of(transport.socket.getsockname()), secure)
    except OSError as error:
        raise trio.BrokenResourceError("the client left before it was served") from error
