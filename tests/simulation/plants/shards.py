"""What may be wrong where a deployment is divided into shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary, WeakSet

import trio

import smarttrade.store.feed as feed_module
from smarttrade.store.database import Position
from smarttrade.store.feed import Feed
from smarttrade.store.followed_shards import FollowedShards
from smarttrade.store.messages import AdoptCatalogue
from smarttrade.store.redis_format import Entry
from smarttrade.store.relay import _Feed, _Relay


@contextmanager
def silence_stops_all() -> Iterator[None]:
    """A gateway passes nothing on while one of its shards is silent."""
    take = _Relay._take
    feeds: WeakKeyDictionary[FollowedShards, dict[_Feed, None]] = WeakKeyDictionary()

    async def of_all_or_none(self: _Relay, entries: Sequence[Entry]) -> None:
        of_all = feeds.setdefault(self._shards, {})
        of_all[self._feed] = None
        while any(feed.silence > feed._stale_after for feed in of_all):
            await trio.sleep(0.5)
            self._feed._heard_at = trio.current_time()
        await take(self, entries)

    with patch.object(_Relay, "_take", of_all_or_none):
        yield


@contextmanager
def silence_hidden() -> Iterator[None]:
    """The feed is live while that of one shard is."""
    with patch.object(feed_module, "_BEST_FIRST", (Feed.DOWN, Feed.STALE, Feed.LIVE)):
        yield


@contextmanager
def one_catalogue() -> Iterator[None]:
    """A gateway takes the catalogue of the shard that it has just read for all that there is."""
    adopt = FollowedShards.adopt

    def only_that(self: FollowedShards, number: int, state: Any, origin: str) -> AdoptCatalogue:
        self._states.clear()
        return adopt(self, number, state._replace(populated=()), origin)

    with patch.object(FollowedShards, "adopt", only_that):
        yield


@contextmanager
def absent_shard_given_up() -> Iterator[None]:
    """A gateway that starts before a shard is written does not look for it again."""
    position = _Relay._position
    given_up: WeakSet[_Relay] = WeakSet()

    async def once(self: _Relay) -> Position:
        if self in given_up:
            await trio.sleep_forever()
        found = await position(self)
        if found.state is None and not self._report.loads:
            given_up.add(self)
        return found

    with patch.object(_Relay, "_position", once):
        yield
