"""Sentinels promote a replica, with real servers.

A leader writes a candle every 50 ms meanwhile, and a gateway follows: each close comes once.
"""

from __future__ import annotations

from functools import partial

import pytest
import trio

from smarttrade.store.redis_database import RedisDatabase
from tests.fakes.database import BINANCE
from tests.fakes.followed import followed
from tests.fakes.redis_sentinel import NAME, Sentinels


def connect(sentinels: Sentinels) -> RedisDatabase:
    return RedisDatabase(
        sentinels.url, "smarttrade", timeout=1.0, stream_length=1000, exchange=BINANCE
    )


async def test_primary_is_killed_with_a_sentinel(sentinels: Sentinels) -> None:
    async with followed(partial(connect, sentinels)) as both:
        before = sentinels.primary()
        sentinels.sentinels[2].kill()
        before.kill()
        await both.until_followed()
        assert sentinels.primary() is not before
        before.start()
        await trio.sleep(1)


@pytest.mark.slow
async def test_primary_is_frozen_and_comes_back_as_a_replica(sentinels: Sentinels) -> None:
    async with followed(partial(connect, sentinels)) as both:
        before = sentinels.primary()
        before.freeze()
        await both.until_followed()
        before.thaw()
        await trio.sleep(2)


async def test_replica_is_promoted_by_hand(sentinels: Sentinels) -> None:
    async with followed(partial(connect, sentinels)) as both:
        before = sentinels.primary()
        with sentinels.sentinels[0].client() as client:
            client.execute_command("SENTINEL FAILOVER", NAME)
        await both.until_followed()
        await trio.sleep(3)
        assert sentinels.primary() is not before
