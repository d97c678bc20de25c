"""Sessions as the hub sees them, and the events that it gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smarttrade.market.candle import Candle
from smarttrade.market.series import Series
from smarttrade.session.budget import Budget
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.hub import Hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.session.messages import SubscribedMessage
from smarttrade.session.session_limits import SessionLimits
from smarttrade.session.subscriber import Subscriber
from smarttrade.session.wire import message_frame
from smarttrade.store.events import (
    CandlesPublished,
    Published,
    Snapshot,
    SubscriptionsClosed,
    SubscriptionsOpened,
)
from tests.fakes.candles import at
from tests.fakes.frames import Message
from tests.fakes.outboxes import RecordingOutbox

ACK = message_frame(SubscribedMessage(1, [], []))


class Client:
    """A session as the hub sees it."""

    def __init__(self, *, legacy: bool = False) -> None:
        self.outbox = RecordingOutbox()
        self.subscriber = Subscriber(self.outbox, Budget(SessionLimits()), legacy=legacy)

    def drain(self) -> list[Message]:
        return self.outbox.drain()

    def took(self) -> list[tuple[str, int, bool]]:
        """The candles since the last time: symbol, minute, closed."""
        return [
            (m["symbol"], (m["candle"]["time"] - at(0) // 1000) // 60, m["closed"])
            for m in self.drain()
            if m["type"] == "candle"
        ]


def opened(
    client: Client, *series: Series, ack: bytes = b"", snapshots: Sequence[Snapshot] = ()
) -> SubscriptionsOpened[Subscriber]:
    return SubscriptionsOpened(client.subscriber, ack, series, tuple(snapshots))


def closed(client: Client, *series: Series, ack: bytes = b"") -> SubscriptionsClosed[Subscriber]:
    return SubscriptionsClosed(client.subscriber, series, ack)


def gone(client: Client) -> SubscriptionsClosed[Subscriber]:
    return SubscriptionsClosed(client.subscriber, None, b"")


def published(series: Series, *candles: Candle, corrected: bool = False) -> CandlesPublished:
    return CandlesPublished([Published(series, each, corrected) for each in candles])


def new_hub() -> Hub:
    return Hub(CandleTexts(), HubCounters())


def kinds(messages: Iterable[Message]) -> list[str]:
    return [each["type"] for each in messages]


def assert_nothing_left(hub: Hub) -> None:
    assert not hub._series
    assert not list(hub._groups)
    assert not hub._groups._of_series
