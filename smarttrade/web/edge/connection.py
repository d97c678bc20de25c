"""One connection: Hypercorn parses HTTP/1.1 and WebSocket; here is what it leaves without a limit.

Hypercorn stays the one that parses and answers. Its `TCPServer`, which owns a connection's tasks
and transport, is replaced by `Connection`; nothing is patched, all is handed in or subclassed:

====================  ==============================================================================
replaced              because
====================  ==============================================================================
`TCPServer`           an exception of one connection ended the whole server; a task per idle
                      connection; closing with input unread reset the last bytes: `Connection`
`ProtocolWrapper`     it speaks HTTP/2 to any client that asks; no browser does without TLS
`trio.TaskGroup`      the reader waited without limit for an application that does not read, and an
                      application that ignores its client's end was never ended: `AppTasks`
`H11Protocol`         `_check_protocol`: upgrades to HTTP/2, heads and bodies over the limit;
                      `_create_stream`: the streams below, refused handshakes left open;
                      `stream_send`: a session that closed and then waited without limit
`HTTPStream`          `handle`, `app_send`: bodies counted, nothing sent after the end
`WSStream`            `handle`, `_accept`: bytes sent before the accept are kept, not fatal;
                      `_handle_events`: 1002, 1007 and 1009 are sent and end the session;
                      `_send_wsproto_event`: no post follows a close frame; `app_send`
`WebsocketBuffer`     it stored what it then refused, and went on storing
====================  ==============================================================================

Used as they are, though private: `H11Protocol._handle_events` and `_send_error_response`,
`H11WSConnection`, `STREAM_ID`, `HTTPStream._send_error_response`, `WSStream._send_error_response`,
`TaskGroup._nursery`. pyproject.toml pins Hypercorn; tests/smarttrade/web/edge/test_malformed.py
says whether another version still calls what is replaced here.

permessage-deflate is never negotiated because Hypercorn never sees a client's offer: compressing
costs far more than it saves, and a few kilobytes from a client could inflate without limit.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from math import inf

import trio
from hypercorn.events import Closed, Event, RawData, Updated

from ...session.budget import TLS, Budget
from ...session.outbox import Outbox
from .application import AppTasks
from .context import CLOSED_ERRORS, READ_SIZE, Closing, Edge, FloodedError, Peers, discard
from .http import EdgeProtocol
from .request_guard import RequestGuard


class ConnectionState(Enum):
    AWAITING_REQUEST = "awaiting request"  # between requests
    READING_HEAD = "reading head"
    ANSWERING = "answering"  # a request, or a WebSocket for as long as it is open
    CLOSING = "closing"  # we have sent our last byte


class Connection:
    """One client from its first byte to its last; owns its outbox and its tasks."""

    __slots__ = (
        "_budget",
        "_done",
        "_edge",
        "_guard",
        "_outbox",
        "_peers",
        "_protocol",
        "_reading",
        "_state",
    )

    def __init__(self, edge: Edge, outbox: Outbox, peers: Peers) -> None:
        self._edge = edge
        self._outbox = outbox
        self._peers = peers
        self._budget = Budget(edge.limits.session, edge.turns)
        peer = peers.client[0] if peers.client else None
        self._guard = RequestGuard(edge, peer, outbox, self._budget)
        self._reading = trio.CancelScope()
        self._protocol: EdgeProtocol
        self._state = ConnectionState.AWAITING_REQUEST
        self._done: trio.Event | None = None  # there only while the end of an answer is awaited

    def pays_for_tls(self) -> bool:
        """Whether the client may begin a TLS handshake, if it is to."""
        return not self._peers.secure or self._budget.take(trio.current_time(), TLS)

    async def run(self) -> None:
        """Serve the client until either side ends; the outbox is closed whatever happens.

        Raises:
            Exception: what an application's or a protocol's bug raised; the caller contains it.
        """
        edge = self._edge
        try:
            async with trio.open_nursery() as nursery:
                self._outbox.write_in(nursery)
                tasks = AppTasks(nursery, edge, self._outbox)
                self._protocol = EdgeProtocol(
                    edge,
                    tasks,
                    self._outbox,
                    self._peers,
                    self._guard,
                    self._budget,
                    self._send,
                )
                self._await_request()
                with self._reading:
                    await self._read()
                if self._reading.cancelled_caught:
                    self._count_timeout()
                await self._protocol.handle(Closed())
        finally:
            self._guard.leave()
            await self._outbox.aclose()

    def end_if_idle(self) -> None:
        """Close now if no request is under way; else after its answer, if the server is ending."""
        if self._is_idle:
            self._state = ConnectionState.CLOSING
            self._reading.cancel()

    @property
    def _is_idle(self) -> bool:
        """Whether there is no whole request that must be answered."""
        return self._state in (ConnectionState.AWAITING_REQUEST, ConnectionState.READING_HEAD)

    def _count_timeout(self) -> None:
        if self._state is ConnectionState.READING_HEAD:
            self._edge.counters.slow_heads += 1
        elif self._state is ConnectionState.AWAITING_REQUEST:
            self._edge.counters.idle_closed += 1

    async def _read(self) -> None:
        while self._state is not ConnectionState.CLOSING:
            try:
                data = bytes(await self._outbox.receive_some(READ_SIZE))
                if data and self._state is ConnectionState.AWAITING_REQUEST:
                    if await self._try_fast_path(data):
                        continue
                    self._state = ConnectionState.READING_HEAD
                    self._reading.deadline = trio.current_time() + self._edge.limits.head_timeout
                await self._protocol.handle(RawData(data))
                if self._is_idle and not self._protocol.has_begun:
                    self._await_request()
            except CLOSED_ERRORS:
                return
            except FloodedError:
                await self._end()
            if not data:
                await self._finish_answer()
                return
            del data  # it may be large, and the next may be long in coming
        with suppress(*CLOSED_ERRORS):
            await discard(self._outbox, self._budget.take_turn)

    async def _finish_answer(self) -> None:
        """A client that sends no more may still read (RFC 9112, 9.6): complete its answer."""
        if self._protocol.is_http and self._state is ConnectionState.ANSWERING:
            self._reading.deadline = trio.current_time() + self._edge.limits.stall_limit
            self._done = trio.Event()
            await self._done.wait()

    async def _try_fast_path(self, data: bytes) -> bool:
        """Whether the fast path answered; only a request that Hypercorn has no part of."""
        edge = self._edge
        if edge.fast_path is None or self._protocol.has_begun or edge.context.terminated.is_set():
            return False
        self._state = ConnectionState.ANSWERING
        self._reading.deadline = inf
        try:
            answer = await edge.fast_path(data, self._guard)
            if answer is not None:
                self._budget.debit_bytes(len(answer))
                await self._outbox.send_all(answer)
        finally:
            self._await_request()
        if answer is not None and edge.context.terminated.is_set():
            await self._end()
        return answer is not None

    async def _send(self, event: Event) -> None:
        """What Hypercorn says: bytes, that the connection is over, or that it is idle or not."""
        if isinstance(event, RawData):
            try:
                # Needs no shield: what a cancelled write began, the outbox finishes.
                await self._outbox.send_all(event.data)
            except CLOSED_ERRORS:
                # The reader may be waiting for this answer to be over, and not for the client.
                self._reading.cancel()
                await self._protocol.handle(Closed())
        elif isinstance(event, Closed):
            await self._end()
        elif isinstance(event, Closing):
            self._reading.deadline = trio.current_time() + self._edge.limits.app_timeout
        elif isinstance(event, Updated) and self._state is not ConnectionState.CLOSING:
            if event.idle:
                self._await_request()
            else:
                self._state = ConnectionState.ANSWERING
                self._reading.deadline = inf

    def _await_request(self) -> None:
        self._state = ConnectionState.AWAITING_REQUEST
        self._reading.deadline = trio.current_time() + self._edge.limits.keep_alive

    async def _end(self) -> None:
        if self._state is ConnectionState.CLOSING:
            return
        self._state = ConnectionState.CLOSING
        if self._done is not None:
            self._done.set()
        # The application's own task may be here, handling what came before its accept; it is
        # cancelled because its client is gone, and no other task would finish this. The outbox
        # bounds the wait.
        with trio.CancelScope(shield=True):
            await self._protocol.handle(Closed())
            with suppress(*CLOSED_ERRORS):
                await self._outbox.send_eof()
        self._reading.deadline = trio.current_time() + self._edge.limits.linger
