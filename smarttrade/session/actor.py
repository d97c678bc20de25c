"""The session actor: one client's connection, from accept to close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Protocol, TypeVar, assert_never

import trio

from actors import ActorDied, Mailbox, MailboxClosed, Reply

from ..market.series import Series
from ..store.messages import (
    CloseSubscriptions,
    GetCatalogue,
    OpenSubscriptions,
    StoreMessage,
    SubscriptionSpec,
)
from .budget import CANDLES_PER_TURN, MAX_CANDLES_PER_TURN, Verdict
from .draining import Draining
from .errors import CloseCode
from .frame_queue import ClosedReason
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

ANSWER_TIMEOUT = 5.0  # seconds for the store to answer; it takes microseconds
CANDLES_SINCE = 100  # of a snapshot with `since`, about: clients come back soon, if at all
READ_AT_ONCE = 0.01  # seconds; a client that takes a snapshot in that time is up to date
CLOSE_TIMEOUT = 2.0  # seconds for the closing handshake of a client that may not be reading

T = TypeVar("T")


class Client(Protocol):
    """The WebSocket of one client, already accepted."""

    async def receive(self) -> str | bytes:
        """The next message; cancelled when the client has gone."""

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

    Returns after the close handshake was started; cancelled when the client leaves by itself. What
    it receives meanwhile comes from the hub.
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
            await protocol.budget.settle()
            try:
                async with protocol.budget.turn():
                    catalogue = await _ask(store, GetCatalogue)
                    actions = protocol.receive(message, catalogue, trio.current_time())
                for action in actions:
                    if isinstance(action, End):
                        return action
                    await _carry_out(action, subscriber, store)
            except (trio.TooSlowError, ActorDied, MailboxClosed):
                return End(CloseCode.OVERLOADED, "try again later")

    # Posted directly: what comes through the hub may come later than the answer to a bad request.
    subscriber.outbox.post_once(protocol.welcome())
    opening = OpenSubscriptions(subscriber, (), b"")
    await _run(client, subscriber, opening, store, draining, serve)


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

    async def serve() -> End:
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
    serve: Callable[[], Awaitable[End]],
) -> None:
    try:
        await store.tell(opening)
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
    """Why the session is over; None when nothing more can be sent to the client."""
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
            subscriber.budget.debit_bytes(len(frame))
            subscriber.outbox.post_once(frame)
        case Subscribe(wanted, acknowledgement):
            subscriber.budget.debit_bytes(len(acknowledgement))
            await _open(subscriber, wanted, acknowledgement, store)
        case Unsubscribe(series, acknowledgement):
            await store.tell(CloseSubscriptions(subscriber, series, acknowledgement))
        case _:
            assert_never(action)


async def _open(
    subscriber: Subscriber,
    wanted: Sequence[SubscriptionSpec],
    acknowledgement: bytes,
    store: Mailbox[StoreMessage],
) -> None:
    """Open subscriptions at the pace at which the client reads its snapshots.

    So the snapshots of one that does not read are neither made nor kept. Series without a snapshot
    are opened first: their updates begin with the acknowledgement.
    """
    rest = sorted(wanted, key=lambda spec: _candles(spec) > 0)
    limit = CANDLES_PER_TURN // 2
    while rest or acknowledgement:
        posted_at = trio.current_time()
        await subscriber.outbox.written()
        reads_at_once = trio.current_time() < posted_at + READ_AT_ONCE
        limit = min(2 * limit, MAX_CANDLES_PER_TURN) if reads_at_once else CANDLES_PER_TURN
        portion, rest = first_portion(rest, limit)
        async with subscriber.budget.turn():
            await _ask(store, partial(OpenSubscriptions, subscriber, portion, acknowledgement))
        acknowledgement = b""


def first_portion(
    wanted: list[SubscriptionSpec], limit: int
) -> tuple[list[SubscriptionSpec], list[SubscriptionSpec]]:
    """What is opened next, of about `limit` candles and at least one series; and the rest."""
    candles = _candles(wanted[0]) if wanted else 0
    count = min(1, len(wanted))
    while count < len(wanted) and candles + _candles(wanted[count]) <= limit:
        candles += _candles(wanted[count])
        count += 1
    return wanted[:count], wanted[count:]


def _candles(spec: SubscriptionSpec) -> int:
    """How many candles its snapshot has, about."""
    if spec.since is not None:
        return CANDLES_SINCE
    return spec.snapshot or 0


async def _ask(store: Mailbox[StoreMessage], make: Callable[[Reply[T]], StoreMessage]) -> T:
    """The answer of the store, or of the hub behind it.

    Raises:
        trio.TooSlowError, ActorDied, MailboxClosed: there is none.
    """
    with trio.fail_after(ANSWER_TIMEOUT):
        return await store.ask(make)
