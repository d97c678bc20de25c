"""Any sequence of posts, writes and reads."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from smarttrade.session.outbox import Outbox
from smarttrade.session.outbox_counters import OutboxCounters
from tests.fakes.outboxes import run
from tests.smarttrade.session.stream_clients import (
    CLIENTS,
    Client,
    batch,
    frame,
    outbox_for,
    texts,
)

KEYS = st.sampled_from("abcd")
SIZES = st.sampled_from([0, 30, 300])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.lists(KEYS, min_size=1, max_size=4, unique=True), SIZES),
        st.tuples(st.just("post_once"), st.none(), SIZES),
        st.tuples(st.just("send_all"), st.booleans(), SIZES),
        st.tuples(st.just("read"), st.none(), st.integers(1, 500)),
        st.tuples(st.just("let others run"), st.none(), st.none()),
    ),
    max_size=40,
)


class Model:
    """Does the operations, and remembers what a client must find."""

    def __init__(self, kind: type[Client]) -> None:
        self.client = kind(room=0)
        self.counters = OutboxCounters()
        self.outbox = outbox_for(self.client, self.counters)
        self.count = 0
        self.barriers: list[str] = []  # in the order of their making
        self.states: dict[str, list[tuple[str, int]]] = {key: [] for key in "abcd"}
        """Of each key its states, each with how many barriers were made before."""

    async def do(self, nursery: trio.Nursery, operation: tuple[str, Any, Any]) -> None:
        self.count += 1
        match operation:
            case "post", keys, size:
                self.outbox.post(batch(*(frame(key, self.count, size=size) for key in keys)))
                for key in keys:
                    self.states[key].append((f"{key}{self.count}", len(self.barriers)))
            case "post_once", _, size:
                self.outbox.post_once(self._barrier(size))
            case "send_all", cancelled, size:
                nursery.start_soon(self._send, self._barrier(size), cancelled)
                # `send_all` joins the queue when its task first runs.
                await wait_all_tasks_blocked()
            case "read", _, size:
                self.client.read(size)
            case _:
                await wait_all_tasks_blocked()

    def _barrier(self, size: int) -> bytes:
        name = f"X{self.count}"
        self.barriers.append(name)
        return frame("X", self.count, size=size)[1]

    async def _send(self, data: bytes, cancelled: bool) -> None:
        with trio.move_on_after(0.01 if cancelled else math.inf):
            await self.outbox.send_all(data)

    def check(self) -> None:
        received = texts(self.client)  # whole frames only
        assert [text for text in received if text[0] == "X"] == self.barriers
        place = {text: index for index, text in enumerate(received)}
        assert len(place) == len(received)
        ends = [-1, *(place[name] for name in self.barriers), len(received)]
        for states in self.states.values():
            places = [place[text] for text, _ in states if text in place]
            assert places == sorted(places)
            last_before = {barriers: text for text, barriers in states}
            for barriers, text in last_before.items():
                assert ends[barriers] < place[text] < ends[barriers + 1]
        assert self.outbox.pending_bytes == 0
        assert self.counters.messages - self.counters.conflated == len(received) - self.sent

    sent = 0


@pytest.mark.parametrize("kind", CLIENTS)
@settings(max_examples=150, deadline=None)
@given(operations=OPERATIONS)
def test_a_client_always_gets_whole_frames_in_order_and_every_last_state(
    kind: type[Client], operations: list[tuple[str, Any, Any]]
) -> None:
    async def main() -> None:
        model = Model(kind)
        model.sent = sum(name == "send_all" for name, *_ in operations)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, model.outbox)
            for operation in operations:
                await model.do(nursery, operation)
            model.client.read()
            await wait_all_tasks_blocked()
            model.check()
            await model.outbox.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_what_the_client_sends_comes_through() -> None:
    ours, client = memory_stream_pair()
    outbox = Outbox(ours, counters=OutboxCounters())
    await client.send_all(b"hello")
    assert await outbox.receive_some(3) == b"hel"
    assert await outbox.receive_some() == b"lo"
