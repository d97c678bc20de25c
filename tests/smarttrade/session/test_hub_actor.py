"""The actor of the hub: heartbeats, pings, and how it gathers what is queued."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Mailbox
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.frames import FrameBatch
from smarttrade.session.hub import PING_FRAME
from smarttrade.session.hub_actor import FLUSH_CPU_SHARE, MAX_FLUSH_PAUSE, run_hub
from smarttrade.session.hub_counters import HubCounters
from smarttrade.store.events import (
    HubEvent,
)
from tests.fakes.candles import BTC, candle
from tests.fakes.outboxes import RecordingOutbox
from tests.smarttrade.session.hub_clients import ACK, Client, opened, published


async def test_heartbeat_comes_every_25_seconds_exactly(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    mailbox, client = Mailbox[HubEvent]("hub", capacity=8), Client()
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await mailbox.tell(opened(client, BTC))
    heard = []
    for _ in range(100):
        await trio.sleep(1)
        await wait_all_tasks_blocked()
        heard += [m["time"] - 1000 for m in client.drain() if m["type"] == "heartbeat"]
    assert heard == [25, 50, 75, 100]
    assert trio.current_time() == 100
    nursery.cancel_scope.cancel()


async def run_hub_every_25_seconds(
    mailbox: Mailbox[HubEvent], *, task_status: trio.TaskStatus[None]
) -> None:
    await run_hub(
        mailbox,
        CandleTexts(),
        HubCounters(),
        heartbeat=25,
        wall_clock=lambda: 1000 + trio.current_time(),
        cost_clock=trio.current_time,
        task_status=task_status,
    )


async def test_everything_that_is_queued_is_sent_at_once_and_in_order(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    mailbox, client = Mailbox[HubEvent]("hub", capacity=100), Client()
    mailbox.tell_nowait(opened(client, BTC))
    for minute in range(50):
        mailbox.tell_nowait(published(BTC, candle(minute)))
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await wait_all_tasks_blocked()
    assert [minute for _, minute, _ in client.took()] == list(range(50))
    assert len(client.outbox.batches) == 1
    nursery.cancel_scope.cancel()


class LongOutbox(RecordingOutbox):
    """Posting takes a while, in the clock's time; remembers when it ended."""

    def __init__(self, clock: MockClock, seconds: float) -> None:
        super().__init__()
        self.times: list[float] = []
        self._clock = clock
        self._seconds = seconds

    def post(self, batch: FrameBatch) -> None:
        super().post(batch)
        self._clock.jump(self._seconds)
        self.times.append(trio.current_time())


@pytest.mark.parametrize("took", [0.0, 0.001, 0.002, 0.1])
async def test_flushes_that_follow_each_other_keep_a_distance(
    took: float, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """And nothing that comes after a pause waits, nor does anything get lost meanwhile."""
    mailbox, client = Mailbox[HubEvent]("hub", capacity=100), Client()
    client.outbox = client.subscriber.outbox = outbox = LongOutbox(autojump_clock, took)
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await mailbox.tell(opened(client, BTC))
    await trio.sleep(1)
    began = trio.current_time()
    for minute in range(10):
        await mailbox.tell(published(BTC, candle(minute)))
        await wait_all_tasks_blocked()
    await trio.sleep(1)
    first, *others = outbox.times
    assert first == began + took
    distance = min(took * (1 / FLUSH_CPU_SHARE - 1), MAX_FLUSH_PAUSE)
    if took:
        assert [at - first for at in others] == [pytest.approx(distance + took)]
    assert [minute for _, minute, _ in client.took()] == list(range(10))
    at_rest = trio.current_time()
    await mailbox.tell(published(BTC, candle(10)))
    await wait_all_tasks_blocked()
    assert outbox.times[-1] == at_rest + took
    nursery.cancel_scope.cancel()


async def test_subscriptions_are_not_gathered(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Only candles wait: a client that connects is answered at once."""
    mailbox, client = Mailbox[HubEvent]("hub", capacity=100), Client()
    client.outbox = client.subscriber.outbox = LongOutbox(autojump_clock, 0.01)
    await nursery.start(run_hub_every_25_seconds, mailbox)
    began = trio.current_time()
    for _ in range(3):
        await mailbox.tell(opened(client, BTC, ack=ACK))
        await wait_all_tasks_blocked()
    assert len(client.drain()) == 4
    assert trio.current_time() == began
    nursery.cancel_scope.cancel()


async def test_legacy_client_gets_a_ping_every_20_seconds(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    mailbox, legacy, other = Mailbox[HubEvent]("hub", capacity=9), Client(legacy=True), Client()
    await nursery.start(run_hub_every_25_seconds, mailbox)
    await mailbox.tell(opened(legacy, BTC))
    await mailbox.tell(opened(other, BTC))
    times = []
    for _ in range(65):
        await trio.sleep(1)
        await wait_all_tasks_blocked()
        times += [trio.current_time()] * legacy.outbox.data.count(PING_FRAME)
        legacy.outbox.data = b""
    assert times == [20, 40, 60]
    assert PING_FRAME not in other.outbox.data
    nursery.cancel_scope.cancel()
