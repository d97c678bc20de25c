"""Opening subscriptions at the pace at which a client reads its snapshots.

So the snapshots of a client that does not read are neither made nor kept, and no update of others
waits behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from actors import Mailbox, Reply

from ..store.messages import OpenSubscriptions, StoreMessage, SubscriptionSpec
from .budget import CANDLES_PER_TURN, MAX_CANDLES_PER_TURN
from .subscriber import Subscriber

ANSWER_TIMEOUT = 5.0  # seconds for the store to answer; it takes microseconds
POST_TIMEOUT = 30.0  # seconds for the hub, which has thousands of clients that came back to serve
CANDLES_SINCE = 100  # of a snapshot with `since`, about: clients come back soon, if at all
READ_AT_ONCE = 0.01  # seconds; a client that takes a snapshot in that time is up to date

T = TypeVar("T")


async def open_subscriptions(
    subscriber: Subscriber,
    wanted: Sequence[SubscriptionSpec],
    acknowledgement: bytes,
    store: Mailbox[StoreMessage],
) -> None:
    """Open some at a time, each time once the client has taken what was posted before.

    Series without a snapshot come first: their updates begin with the acknowledgement.

    Raises:
        trio.TooSlowError, ActorDied, MailboxClosed: there is no answer.
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
            opening = partial(OpenSubscriptions, subscriber, portion, acknowledgement)
            await ask(store, opening, within=POST_TIMEOUT)
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


async def ask(
    store: Mailbox[StoreMessage],
    make: Callable[[Reply[T]], StoreMessage],
    *,
    within: float = ANSWER_TIMEOUT,
) -> T:
    """The answer of the store, or of the hub behind it.

    Raises:
        trio.TooSlowError, ActorDied, MailboxClosed: there is none.
    """
    with trio.fail_after(within):
        return await store.ask(make)
