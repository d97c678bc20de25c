"""The whole service while the exchange fails at one symbol's history only."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from smarttrade.feed.listing import ABSENT_CHECK_INTERVAL, CHECK_INTERVAL
from smarttrade.simulator import Cut
from tests.fakes.service import running


async def test_gap_of_a_symbol_that_fails_does_not_make_the_service_unready(
    autojump_clock: MockClock,
) -> None:
    async with running() as made:
        faults = made.exchange.faults
        faults.failing.on(frozenset({"ETHUSDT"}))
        Cut("rst", "all").apply(made.exchange)
        await made.next_minute(3)
        answer = await made.http.get("/ready")
        assert answer.status_code == 200
        assert [each["symbol"] for each in answer.json()["symbols"]] == ["ETHUSDT"]
        faults.failing.off()
        await trio.sleep(75)
        await made.ready()
        assert (await made.http.get("/ready")).json().get("symbols") in (None, [])
        assert await made.differences() == []


async def test_symbol_that_was_delisted_and_refused_trades_as_soon_as_it_is_listed(
    autojump_clock: MockClock,
) -> None:
    async with running() as made:
        faults = made.exchange.faults
        faults.unknown.on(frozenset({"ETHUSDT"}))
        await trio.sleep(2 * CHECK_INTERVAL)
        Cut("rst", "all").apply(made.exchange)  # what was missed is asked for, and refused
        await trio.sleep(CHECK_INTERVAL)
        answer = await made.http.get("/ready")
        assert [each["state"] for each in answer.json()["symbols"]] == ["delisted"]
        faults.unknown.off()
        await trio.sleep(ABSENT_CHECK_INTERVAL + CHECK_INTERVAL)
        await made.ready()
        assert (await made.http.get("/ready")).json().get("symbols") in (None, [])
