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
from ..token_bucket import TokenBucket
from .draining import Draining
from .errors import CloseCode
from .hub import Subscriber
from .outbox import ClosedReason
from .protocol import End, Send, SessionCounters, SessionProtocol, Subscribe, Unsubscribe
from .session_limits import SessionLimits

ANSWER_TIMEOUT = 5.0  # seconds for the store to answer; it takes microseconds
CLOSE_TIMEOUT = 2.0  # seconds to say goodbye to a client that may not be reading


class Client(Protocol):
    """The WebSocket of one client, already accepted."""

    async def receive(self) -> str | bytes:
        """The next message; cancelled when the client has gone."""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, after what is pending."""


async def run_session(
    client: Client,
    subscriber: Subscriber,
    protocol: SessionProtocol,
    store: Mailbox[StoreMessage],
    *,
    draining: Draining,
) -> None:
    """Serve a client until it misbehaves or is too slow, or until `draining` is set.

    Returns when it has been told goodbye; cancelled when it goes by itself. What it gets meanwhile
    comes from the hub.
    """

    async def serve() -> End:
        limits = protocol.limits
        idle_since = trio.current_time()
        while True:
            if protocol.subscribed:
                idle_since = inf
            elif idle_since == inf:
                idle_since = trio.current_time()
            with trio.CancelScope(deadline=idle_since + limits.idle_timeout) as waiting:
                message = await client.receive()
            if waiting.cancelled_caught:
                protocol.counters.closed_idle += 1
                return End(CloseCode.POLICY, f"no subscription for {limits.idle_timeout:g} s")
            try:
                with trio.fail_after(ANSWER_TIMEOUT):
                    catalogue = await store.ask(GetCatalogue)
            except (trio.TooSlowError, ActorDied, MailboxClosed):
                return End(CloseCode.OVERLOADED, "try again later")
            for action in protocol.receive(message, catalogue, trio.current_time()):
                if isinstance(action, End):
                    return action
                await _carry_out(action, subscriber, store)

    # Not by way of the hub: nothing may come before it, and answers to bad requests go straight.
    subscriber.outbox.post_once(protocol.welcome())
    beginning = OpenSubscriptions(subscriber, (), b"")
    await _run(client, subscriber, beginning, store, draining, serve)


async def run_legacy_session(
    client: Client,
    subscriber: Subscriber,
    series: Series,
    limits: SessionLimits,
    store: Mailbox[StoreMessage],
    *,
    counters: SessionCounters | None = None,
    draining: Draining,
) -> None:
    """Serve a front end of the first hour: one series, and nothing is asked of it.

    What it sends all the same is read and forgotten, so that its pings and its close are seen.
    """

    async def serve() -> End:
        bucket = TokenBucket(limits.burst, limits.requests_per_second)
        while bucket.take(trio.current_time()):
            await client.receive()
        if counters is not None:
            counters.closed_flooding += 1
        return End(CloseCode.POLICY, "too many messages")

    beginning = OpenSubscriptions(subscriber, (SubscriptionSpec(series, snapshot=1),), b"")
    await _run(client, subscriber, beginning, store, draining, serve)


async def _run(
    client: Client,
    subscriber: Subscriber,
    beginning: OpenSubscriptions[Subscriber],
    store: Mailbox[StoreMessage],
    draining: Draining,
    serve: Callable[[], Awaitable[End]],
) -> None:
    try:
        await store.tell(beginning)
        end = await _until_over(subscriber, draining, serve)
        if end is not None:
            with trio.move_on_after(CLOSE_TIMEOUT):
                await client.close(end.code, end.reason)
    finally:
        with trio.move_on_after(ANSWER_TIMEOUT, shield=True), suppress(MailboxClosed):
            await store.tell(CloseSubscriptions(subscriber))


async def _until_over(
    subscriber: Subscriber, draining: Draining, serve: Callable[[], Awaitable[End]]
) -> End | None:
    """Why the session is over; None when nothing more can be said to the client."""
    ends: list[End | None] = []

    async with trio.open_nursery() as nursery:

        async def write() -> None:
            because = await subscriber.outbox.run()
            is_slow = because is ClosedReason.OVERFLOWED
            over(End(CloseCode.OVERLOADED, "too slow") if is_slow else None)

        def over(end: End | None) -> None:
            ends.append(end)
            nursery.cancel_scope.cancel()

        with draining.cancels(nursery.cancel_scope):
            nursery.start_soon(write)
            over(await serve())
    return ends[0] if ends else End(CloseCode.SHUTTING_DOWN, "shutting down")


async def _carry_out(
    action: Send | Subscribe | Unsubscribe, subscriber: Subscriber, store: Mailbox[StoreMessage]
) -> None:
    match action:
        case Send(frame):
            subscriber.outbox.post_once(frame)
        case Subscribe(wanted, acknowledgement):
            await store.tell(OpenSubscriptions(subscriber, wanted, acknowledgement))
        case Unsubscribe(series, acknowledgement):
            await store.tell(CloseSubscriptions(subscriber, series, acknowledgement))
        case _:
            assert_never(action)
