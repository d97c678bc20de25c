"""One stream connection after its handshake: pushes, requests, pings, and its end.

Source: binance-spot-api-docs, web-socket-streams.md, "General WSS information" and "WebSocket
Limits".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from smarttrade.market.interval import DAY

from .limits import MESSAGES, MESSAGES_TIMEOUT, Rate
from .mangle import Mangler
from .plan import Plan
from .publisher import Event as StreamEvent
from .publisher import text_frame
from .subscriptions import Subscriptions
from .transport import Transport

if TYPE_CHECKING:
    from .exchange import Exchange

PING_EVERY = 20.0  # seconds
PONG_TIMEOUT = 60.0  # seconds
LIFE = DAY  # ms of exchange time
SLOWEST_READER = 30.0  # seconds for a reader to take what it is sent
GOODBYE = 5.0  # seconds for the peer to answer a close frame
LONGEST_MESSAGE = 128 * 1024  # characters; 1024 subscriptions are about 22 KB

GOING_AWAY, POLICY, TOO_BIG = 1001, 1008, 1009


class Session:
    """Runs until either side ends it; `run` absorbs every way in which the line can break."""

    def __init__(
        self,
        exchange: Exchange,
        transport: Transport,
        subscriptions: Subscriptions,
        trailing_data: bytes = b"",
    ) -> None:
        self.number = transport.number
        self.transport = transport
        self.subscriptions = subscriptions
        self._exchange = exchange
        self._protocol = Connection(ConnectionType.SERVER, trailing_data=trailing_data)
        self._mangler = Mangler(exchange.faults, Random(exchange.seed * 1_000_003 + self.number))
        self._admits = Rate(MESSAGES, MESSAGES_TIMEOUT).admits
        self._sending = trio.Lock()
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._text = ""
        self._unanswered: dict[bytes, float] = {}
        """Payloads of pings, and when the patience for their pong ends; oldest first."""

    async def run(self, *, refusing: str | None = None) -> None:
        """Serve until the end; `refusing` is a reason to end at once."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if refusing is not None:
                self.close(POLICY, refusing)
            for task in (self._receive, self._push, self._ping, self._live):
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
            self._nursery.start_soon(self._until_broken, lambda: self._say_goodbye(code, reason))

    def announce_shutdown(self, seconds: float) -> None:
        """Send `serverShutdown`, and end the connection so many seconds later."""
        if self._nursery is not None:
            self._nursery.start_soon(self._until_broken, lambda: self._shut_down(seconds))

    # Pushing

    async def _push(self) -> None:
        """Send what is due, one instant of the plan after the other."""
        done = self._heard()
        while True:
            self._changed = trio.Event()
            plan = Plan(self._exchange.listed(self.subscriptions.series()))
            while not self._changed.is_set():
                instant = plan.following(done)
                if not await self._wait_for(instant) or instant is None:
                    break
                done = instant
                await self._send_due(plan, instant)
            done = max(done, self._heard())

    def _heard(self) -> int:
        """The exchange time up to which a listener has heard everything."""
        late = self._exchange.faults.late.value or 0.0
        return self._exchange.now() - int(late * 1000 * self._exchange.clock.speed)

    async def _wait_for(self, instant: int | None) -> bool:
        """Sleep until `instant`, and longer while events come late; False if the plan changed."""
        if instant is None:
            await self._changed.wait()
            return False
        late = self._exchange.faults.late.value or 0.0
        with trio.move_on_at(self._exchange.clock.trio_time(instant) + late):
            await self._changed.wait()
            return False
        return True

    async def _send_due(self, plan: Plan, instant: int) -> None:
        publisher = self._exchange.publisher
        events: list[StreamEvent] = []
        for symbol, interval in plan.due(instant):
            events += publisher.events(symbol, interval, instant)
        frames = self._mangler.frames(events, combined=self.subscriptions.combined)
        if frames and self._protocol.state is ConnectionState.OPEN:
            self._exchange.stats.events += len(events)
            await self._send(frames)

    def replan(self) -> None:
        """What is listened to, or what is listed, has changed."""
        self._changed.set()

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
            await self._say(event.response())
            return False
        if isinstance(event, Message) and not event.message_finished:
            return await self._gather(event)
        if not self._admits(trio.current_time()):
            await self._say_goodbye(POLICY, "Too many requests")
            return False
        if isinstance(event, Ping):
            if self._exchange.faults.no_pong.value is None:
                await self._say(event.response())
        elif isinstance(event, Pong):
            self._forget_pings(bytes(event.payload))
        elif isinstance(event, Message):
            return await self._gather(event)
        return True

    async def _gather(self, event: Message[Any]) -> bool:
        """Collect a message that may come in pieces, and answer it."""
        self._text += event.data if isinstance(event, TextMessage) else "\0"
        if len(self._text) > LONGEST_MESSAGE:
            await self._say_goodbye(TOO_BIG, "Message too big")
            return False
        if event.message_finished:
            text, self._text = self._text, ""
            before = self.subscriptions.names.copy()
            await self._send(text_frame(self.subscriptions.answer(text)))
            if self.subscriptions.names != before:
                self.replan()
        return True

    # Living and ending

    async def _ping(self) -> None:
        """Ping, and end without a word when pongs stay away."""
        number = 0
        while True:
            await trio.sleep(PING_EVERY)
            now = trio.current_time()
            if self._exchange.faults.no_ping.value is None:
                number += 1
                payload = b"%d-%d" % (self._exchange.now(), number)
                self._unanswered[payload] = now + PONG_TIMEOUT
                await self._say(Ping(payload=payload))
            waiting = min(self._unanswered.values(), default=now + 1)
            if waiting <= now and not self.transport.half_open:
                return

    def _forget_pings(self, payload: bytes) -> None:
        """A pong answers its ping and those before. Source: RFC 6455, section 5.5.3."""
        if payload in self._unanswered:
            answered = list(self._unanswered)
            for earlier in answered[: answered.index(payload) + 1]:
                del self._unanswered[earlier]

    async def _live(self) -> None:
        """Nobody stays longer than 24 hours."""
        end = self._exchange.now() + LIFE
        await trio.sleep_until(self._exchange.clock.trio_time(end))
        await self._say_goodbye(GOING_AWAY, "24 hours are over")

    async def _shut_down(self, seconds: float) -> None:
        payload = f'{{"e":"serverShutdown","E":{self._exchange.now()}}}'
        event = StreamEvent("!serverShutdown", payload)
        await self._send(event.frame(combined=self.subscriptions.combined))
        await trio.sleep(seconds)
        await self._say_goodbye(GOING_AWAY, "server shutdown")

    async def _say_goodbye(self, code: int, reason: str) -> None:
        await self._say(CloseConnection(code=code, reason=reason))
        await trio.sleep(GOODBYE)

    async def _say(self, event: Event) -> None:
        """Send a control frame, unless the connection is closing already."""
        with suppress(LocalProtocolError):
            await self._send(self._protocol.send(event))

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            with trio.move_on_after(SLOWEST_READER) as patience:
                await self.transport.send_all(data)
            if patience.cancelled_caught:
                # Before anyone else may send: half a frame may be out already.
                self.transport.reset()
                await trio.lowlevel.checkpoint()
