"""The session actor: one client's connection, from accept to close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Protocol, assert_never

import trio

from actors import ActorDied, Mailbox, MailboxClosed

from ..market.series import Series
from ..store.messages import (
    CloseSubscriptions,
    GetCatalogue,
    OpenSubscriptions,
    StoreMessage,
    SubscriptionSpec,
)
from .budget import Verdict
from .draining import Draining
from .errors import CloseCode
from .frame_queue import ClosedReason
from .opening import ANSWER_TIMEOUT, ask, open_subscriptions
from .protocol import (
    End,
    Send,
    SessionCounters,
    SessionProtocol,
    Subscribe,
    Unsubscribe,
    flood_end,
)
from .subscriber import Subscriber

CLOSE_TIMEOUT = 2.0  # seconds for the closing handshake of a client that may not be reading


class Client(Protocol):
    """The WebSocket of one client, already accepted."""

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            trio.EndOfChannel: the client has gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, after what is pending."""


async def run_session(
    client: Client,
    subscriber: Subscriber,
    protocol: SessionProtocol,
    store: Mailbox[StoreMessage],
    *,
    draining: Draining,
) -> None:
    """Serve a client until it misbehaves or is too slow, or until `draining` is set.

    Returns after the close handshake was started, or when the client leaves by itself. What it
    receives meanwhile comes from the hub.
    """
    idle_timeout = protocol.limits.idle_timeout

    async def answer(scope: trio.CancelScope) -> End | None:
        """Carry out the next request; None when the session goes on."""
        message = await client.receive()
        scope.deadline = inf
        await protocol.budget.settle()
        try:
            async with protocol.budget.turn():
                catalogue = await ask(store, GetCatalogue)
                actions = protocol.receive(message, catalogue, trio.current_time())
            del message  # it may be large, and its client slow to take the answer
            for action in actions:
                if isinstance(action, End):
                    return action
                await _carry_out(action, subscriber, store)
        except (trio.TooSlowError, ActorDied, MailboxClosed):
            return End(CloseCode.OVERLOADED, "try again later")
        return None

    async def serve(scope: trio.CancelScope) -> End:
        end, idle_since = None, trio.current_time()
        while end is None:
            if protocol.subscribed:
                idle_since = inf
            elif idle_since == inf:
                idle_since = trio.current_time()
            scope.deadline = idle_since + idle_timeout
            end = await answer(scope)
        return end

    def end_idle() -> End:
        protocol.counters.closed_idle += 1
        return End(CloseCode.POLICY, f"no subscription for {idle_timeout:g} s")

    # Posted directly: what comes through the hub may come later than the answer to a bad request.
    subscriber.outbox.post_once(protocol.welcome())
    opening = OpenSubscriptions(subscriber, (), b"")
    await _run(client, subscriber, opening, store, draining, serve, end_idle)


async def run_legacy_session(
    client: Client,
    subscriber: Subscriber,
    series: Series,
    store: Mailbox[StoreMessage],
    *,
    counters: SessionCounters | None = None,
    draining: Draining,
) -> None:
    """Serve a client of the legacy single-symbol endpoint, which sends no requests.

    Anything that it sends is read and dropped, so that its pings and its close are seen.
    """

    async def serve(_: trio.CancelScope) -> End:
        verdict = Verdict.PAID
        while verdict is Verdict.PAID:
            await client.receive()
            verdict = subscriber.budget.spend_message(trio.current_time())
        if counters is not None:
            counters.closed_flooding += 1
        return flood_end(verdict)

    opening = OpenSubscriptions(subscriber, (SubscriptionSpec(series, snapshot=1),), b"")
    await _run(client, subscriber, opening, store, draining, serve)


async def _run(
    client: Client,
    subscriber: Subscriber,
    opening: OpenSubscriptions[Subscriber],
    store: Mailbox[StoreMessage],
    draining: Draining,
    serve: Callable[[trio.CancelScope], Awaitable[End]],
    on_idle: Callable[[], End] | None = None,
) -> None:
    """`on_idle` says how the session ends whose deadline, which `serve` sets, has passed."""
    try:
        await store.tell(opening)
        end = await _until_over(subscriber, draining, serve, on_idle)
        if end is not None:
            with trio.move_on_after(CLOSE_TIMEOUT):
                await client.close(end.code, end.reason)
    finally:
        with trio.move_on_after(ANSWER_TIMEOUT, shield=True), suppress(MailboxClosed):
            await store.tell(CloseSubscriptions(subscriber))


async def _until_over(
    subscriber: Subscriber,
    draining: Draining,
    serve: Callable[[trio.CancelScope], Awaitable[End]],
    on_idle: Callable[[], End] | None,
) -> End | None:
    """Why the session is over; None when nothing more can be sent to the client."""
    ends: list[End | None] = []

    def over(because: ClosedReason) -> None:
        is_slow = because is ClosedReason.OVERFLOWED
        ends.append(End(CloseCode.OVERLOADED, "too slow") if is_slow else None)
        scope.cancel()

    with trio.CancelScope() as scope, draining.cancels(scope):
        subscriber.outbox.report_end(over)
        try:
            ends.append(await serve(scope))
        except trio.EndOfChannel:
            ends.append(None)
        finally:
            subscriber.outbox.report_end(None)
    if ends:
        return ends[0]
    if draining.is_set() or on_idle is None:
        return End(CloseCode.SHUTTING_DOWN, "shutting down")
    return on_idle()


async def _carry_out(
    action: Send | Subscribe | Unsubscribe, subscriber: Subscriber, store: Mailbox[StoreMessage]
) -> None:
    match action:
        case Send(frame):
            subscriber.budget.debit_bytes(len(frame))
            subscriber.outbox.post_once(frame)
        case Subscribe(wanted, acknowledgement):
            subscriber.budget.debit_bytes(len(acknowledgement))
            await open_subscriptions(subscriber, wanted, acknowledgement, store)
        case Unsubscribe(series, acknowledgement):
            await store.tell(CloseSubscriptions(subscriber, series, acknowledgement))
        case _:
            assert_never(action)
