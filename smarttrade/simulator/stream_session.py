"""One stream connection after its handshake: pushes, requests, pings, and its end.

Source: binance-spot-api-docs, web-socket-streams.md, "General WSS information" and "WebSocket
Limits".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .calendar import DAY
from .connections import GOING_AWAY
from .exchange import Exchange
from .push_schedule import PushSchedule
from .rate_limits import MESSAGES, MESSAGES_PERIOD, RollingLimit
from .stream_events import StreamEvent, text_frame
from .stream_faults import StreamFaults
from .subscriptions import Subscriptions
from .transport import Transport

PING_INTERVAL = 20.0  # seconds
PONG_TIMEOUT = 60.0  # seconds
MAX_LIFETIME = DAY  # ms of exchange time
SEND_TIMEOUT = 30.0  # seconds for a reader to take what it is sent
CLOSE_TIMEOUT = 5.0  # seconds for the peer to answer a close frame
MAX_MESSAGE_SIZE = 128 * 1024  # characters

POLICY, TOO_BIG = 1008, 1009


class StreamSession:
    """Runs until either side ends it; `run` absorbs every way in which the connection can break."""

    def __init__(
        self,
        exchange: Exchange,
        transport: Transport,
        host: str,
        subscriptions: Subscriptions,
        trailing_data: bytes = b"",
    ) -> None:
        """`host` is the name that was connected to."""
        self.transport = transport
        self._subscriptions = subscriptions
        self._exchange = exchange
        self._protocol = Connection(ConnectionType.SERVER, trailing_data=trailing_data)
        rng = Random(exchange.seed * 1_000_003 + transport.number)
        self._faults = StreamFaults(exchange.faults, rng, transport.peer, host)
        self._admits = RollingLimit(MESSAGES, MESSAGES_PERIOD).admits
        self._sending = trio.Lock()
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._text = ""
        self._unanswered: dict[bytes, float] = {}
        """Payloads of pings, and when their pong is overdue; oldest first."""

    @property
    def names(self) -> Mapping[str, object]:
        """Of the streams that it subscribes to."""
        return self._subscriptions.names

    async def run(self, *, refusing: str | None = None) -> None:
        """Serve until the end; `refusing` is a reason to end at once."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if refusing is not None:
                self.close(POLICY, refusing)
            for task in (self._receive, self._push, self._ping, self._expire):
                nursery.start_soon(self._until_broken, task)

    async def _until_broken(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run one of the tasks; its end is the connection's."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await task()
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()

    def close(self, code: int, reason: str = "") -> None:
        """End the connection as the protocol has it, from anywhere and at any moment."""
        if self._nursery is not None:
            self._nursery.start_soon(self._until_broken, lambda: self._close(code, reason))

    def announce_shutdown(self, seconds: float) -> None:
        """Send `serverShutdown`, and end the connection so many seconds later."""
        if self._nursery is not None:
            self._nursery.start_soon(self._until_broken, lambda: self._shut_down(seconds))

    def reschedule(self) -> None:
        """What it subscribes to, or what is listed, has changed."""
        self._changed.set()

    # Pushing

    async def _push(self) -> None:
        """Send what is due, one instant of the schedule after the other."""
        done = self._sent_until()
        while True:
            self._changed = trio.Event()
            schedule = PushSchedule(self._exchange.listed(self._subscriptions.keys()))
            while not self._changed.is_set():
                pushed, released = schedule.following(done), self._faults.next_release
                instant = min((at for at in (pushed, released) if at is not None), default=None)
                if not await self._wait_for(instant) or instant is None:
                    break
                done = instant
                await self._send_due(schedule if instant == pushed else None, instant)
            done = max(done, self._sent_until())

    def _lateness(self) -> float:
        return self._exchange.faults.lateness(self.transport.peer)

    def _sent_until(self) -> int:
        """The exchange time up to which a subscriber has received everything."""
        return self._exchange.now() - int(self._lateness() * 1000 * self._exchange.clock.speed)

    async def _wait_for(self, instant: int | None) -> bool:
        """Sleep until `instant`, longer while events are late; False if the schedule changed."""
        if instant is None:
            await self._changed.wait()
            return False
        with trio.move_on_at(self._exchange.clock.trio_time(instant) + self._lateness()):
            await self._changed.wait()
            return False
        return True

    async def _send_due(self, schedule: PushSchedule | None, instant: int) -> None:
        """Without a schedule, only what was held back until now."""
        events: list[StreamEvent] = []
        for key in schedule.due(instant) if schedule else ():
            events += self._exchange.stream_events.at(key, instant)
        frames = self._faults.frames(events, instant, combined=self._subscriptions.combined)
        if frames and self._protocol.state is ConnectionState.OPEN:
            self._exchange.stats.events += len(events)
            await self._send(frames)

    # Receiving

    async def _receive(self) -> None:
        while True:
            for event in self._protocol.events():
                if not await self._handle(event):
                    return
            data = await self.transport.receive_some()
            if not data:
                return
            with suppress(LocalProtocolError, RemoteProtocolError):
                self._protocol.receive_data(data)

    async def _handle(self, event: Event) -> bool:
        """React to something that the client sent; False at the end."""
        if isinstance(event, CloseConnection):
            await self._send_event(event.response())
            return False
        if isinstance(event, Message) and not event.message_finished:
            return await self._gather(event)
        if not self._admits(trio.current_time()):
            self._exchange.limits.penalize(self.transport.peer, trio.current_time())
            await self._close(POLICY, "Too many requests")
            return False
        if isinstance(event, Ping):
            if self._exchange.faults.no_pong.value is None:
                await self._send_event(event.response())
        elif isinstance(event, Pong):
            self._forget_pings(bytes(event.payload))
        elif isinstance(event, Message):
            return await self._gather(event)
        return True

    async def _gather(self, event: Message[Any]) -> bool:
        """Collect a message that may come in pieces, and answer it."""
        self._text += event.data if isinstance(event, TextMessage) else "\0"
        if len(self._text) > MAX_MESSAGE_SIZE:
            await self._close(TOO_BIG, "Message too big")
            return False
        if event.message_finished:
            text, self._text = self._text, ""
            await self._answer(text)
        return True

    async def _answer(self, text: str) -> None:
        before = self._subscriptions.names.copy()
        reply = self._subscriptions.answer(text)
        if reply is None:
            self._exchange.stats.ignored += 1
            return
        await self._send(text_frame(reply))
        if self._subscriptions.names != before:
            self.reschedule()

    # Pings and the end

    async def _ping(self) -> None:
        """Ping, and drop the connection when a pong is overdue."""
        number = 0
        while True:
            await trio.sleep(PING_INTERVAL)
            now = trio.current_time()
            if self._exchange.faults.no_ping.value is None:
                number += 1
                payload = b"%d-%d" % (self._exchange.now(), number)
                self._unanswered[payload] = now + PONG_TIMEOUT
                await self._send_event(Ping(payload=payload))
            waiting = min(self._unanswered.values(), default=now + 1)
            if waiting <= now and not self.transport.half_open:
                return

    def _forget_pings(self, payload: bytes) -> None:
        """A pong answers its ping and those before. Source: RFC 6455, section 5.5.3."""
        if payload in self._unanswered:
            answered = list(self._unanswered)
            for earlier in answered[: answered.index(payload) + 1]:
                del self._unanswered[earlier]

    async def _expire(self) -> None:
        """No connection lives longer than 24 hours."""
        end = self._exchange.now() + MAX_LIFETIME
        await trio.sleep_until(self._exchange.clock.trio_time(end))
        await self._close(GOING_AWAY, "24 hours are over")

    async def _shut_down(self, seconds: float) -> None:
        payload = f'{{"e":"serverShutdown","E":{self._exchange.now()}}}'
        event = StreamEvent("!serverShutdown", payload)
        await self._send(event.frame(combined=self._subscriptions.combined))
        await trio.sleep(seconds)
        await self._close(GOING_AWAY, "server shutdown")

    async def _close(self, code: int, reason: str) -> None:
        await self._send_event(CloseConnection(code=code, reason=reason))
        await trio.sleep(CLOSE_TIMEOUT)

    async def _send_event(self, event: Event) -> None:
        """Send a control frame, unless the connection is closing already."""
        with suppress(LocalProtocolError):
            await self._send(self._protocol.send(event))

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            with trio.move_on_after(SEND_TIMEOUT) as timeout:
                await self.transport.send_all(data)
            if timeout.cancelled_caught:
                # While the lock is held: half a frame may have been sent.
                self.transport.reset()
                await trio.lowlevel.checkpoint()
