"""A shard in Redis: scripts, and what their answers mean.

Writes go one after the other, reads likewise, and the call that waits for changes in a third lane
(`redis_lane.py`). What a call still does that was cancelled is harmless, because batches are
numbered. The caller decides about retries.

All keys are in one slot, and all calls but one are scripts, so all is atomic on a Cluster, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import time as wall_clock
from typing import TYPE_CHECKING, Any

import trio

from ..market.series import Series
from ..market.window import WINDOW_SIZE
from ..market.window_state import WindowState
from .database import (
    Batch,
    DatabaseUnavailable,
    Fenced,
    ForeignFormat,
    Group,
    Held,
    Late,
    Leading,
    Lost,
    Position,
    StoredWindow,
    Written,
)
from .origin import MAX_ORIGIN, ForeignOrigin, OwnExchange
from .redis_format import (
    FORMAT,
    QUARANTINE_TTL,
    Entry,
    Keys,
    candle_to_text,
    field_of,
    lease_of,
    name_in_entry,
    notes_to_text,
    state_to_text,
)
from .redis_lane import RedisConnections, RedisLane
from .redis_script import Script
from .shards import Shard, WrongShardCount
from .stored_values import (
    Damaged,
    candles_from_list,
    entry_from_fields,
    notes_from_text,
    number_from_text,
    origin_from_text,
    readable,
    state_from_text,
)

if TYPE_CHECKING:
    from .redis_client import RedisClient

WINDOWS_PER_ROUND_TRIP = 50  # windows in one round trip: 5 MB, which is 10 ms of a server's time
ENTRIES_PER_READ = 200  # of the change stream
MAX_LEASE = 60.0  # seconds; as long as the setting allows, and no lease of ours lasts longer
ONLY_SHARD = Shard()
WAITING_SHARE = 0.5  # of the time limit; a server that waits for longer counts as dead


class RedisDatabase:
    """A shard of a namespace in the Redis at `url`. Connects when it is first used.

    `timeout` is the time limit in seconds for connecting, and for each answer.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        timeout: float,
        stream_length: int,
        exchange: OwnExchange | None = None,
        shard: Shard = ONLY_SHARD,
        part: str = "",
    ) -> None:
        self.exchange = exchange
        self.shard = shard
        self._origin = "" if exchange is None else exchange.name
        self._has_compared_count = False
        self._timeout = timeout
        self._stream_length = stream_length
        self._keys = Keys(namespace, shard.number, part)
        self._connections = RedisConnections(url, timeout)
        self._writing = RedisLane(self._connections)
        self._reading = RedisLane(self._connections)
        self._following = RedisLane(self._connections)

    # -- Writing -------------------------------------------------------------------------------

    async def acquire(self, leader: str, lease: float) -> Leading | Held:
        """See `Database`."""
        exchange, keys = self._own_exchange, self._keys
        arguments = [lease_of(leader, exchange.name), leader, _ms(lease), _ms(MAX_LEASE), FORMAT]
        arguments += [keys.quarantine, QUARANTINE_TTL, *exchange.accepted]
        names = [keys.lease, keys.meta, keys.changes]
        reply = await self._writing.run(partial(self._acquire, names, arguments))
        match reply:
            case [b"LEADING", int(epoch), int(written), bytes(origin), int(time)]:
                self._origin = readable(origin, MAX_ORIGIN)
                return Leading(epoch, written, time)
            case [b"HELD", bytes(holder), int(left)]:
                return Held(readable(holder, 400), left / 1000)
            case [b"FORMAT", bytes(found)]:
                raise ForeignFormat(found)
            case [b"ORIGIN", bytes(found)]:
                raise ForeignOrigin(readable(found, MAX_ORIGIN), exchange, keys.namespace)
        raise DatabaseUnavailable(f"not an answer to acquire: {reply!r:.200}")

    def _acquire(self, names: Sequence[str], arguments: Sequence[Any], redis: RedisClient) -> Any:
        keys = [self._keys.shards, self._keys.quarantined_shards]
        claim = [self.shard.count, QUARANTINE_TTL]
        self._compare_count(lambda: int(redis.run_script(_SHARDS, keys, claim)))
        return redis.run_script(_ACQUIRE, names, arguments)

    def _compare_count(self, read: Callable[[], int]) -> None:
        """In a worker thread, where `read` returns the stored number of shards; 0 for none.

        It may be on another server of a Cluster than a shard, which goes on without that server
        once it knows that they agree.
        """
        from .redis_client import translated

        count = self.shard.count
        try:
            found = translated(read)
        except DatabaseUnavailable:
            if count == 1 or not self._has_compared_count:
                raise
            return
        if found not in (0, count):
            raise WrongShardCount(found, count, self._keys.namespace)
        self._has_compared_count = True

    async def release(self, leader: str) -> None:
        """See `Database`."""
        lease_text = lease_of(leader, self._own_exchange.name)
        names = [self._keys.lease]
        await self._writing.run(lambda redis: redis.run_script(_RELEASE, names, [lease_text]))

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        """See `Database`."""
        lease_text = lease_of(leader, self._own_exchange.name)
        head = [leader, epoch, batch.number, batch.written, lease_text, _ms(lease)]
        reply = await self._writing.run(partial(self._write, head, batch))
        match reply:
            case [b"OK", int(is_state_lost), list(lengths)]:
                return Written(tuple(lengths), bool(is_state_lost))
            case [b"FENCED", bytes(other)]:
                return Fenced(readable(other))
            case [b"LOST"]:
                return Lost()
            case [b"LATE"]:
                return Late()
        raise DatabaseUnavailable(f"not an answer to write: {reply!r:.200}")

    def _write(self, head: Sequence[Any], batch: Batch, redis: RedisClient) -> Any:
        names, origin = self._keys, self._origin
        keys = [names.lease, names.meta, names.changes, names.notes(origin)]
        state = "" if batch.state is None else state_to_text(batch.state)
        arguments: list[Any] = [*head, WINDOW_SIZE, self._stream_length, int(batch.is_heartbeat)]
        arguments += [FORMAT, origin, batch.time, names.quarantine, QUARANTINE_TTL]
        arguments += [batch.state_digest, state]
        for group in batch.groups:
            keys.append(names.candles(origin, group.series))
            arguments += _group_arguments(group)
        return redis.run_script(_WRITE, keys, arguments)

    async def quarantine(self, series: Sequence[Series]) -> None:
        """See `Database`."""
        origin = self._origin
        notes = self._keys.notes(origin)
        lists = [self._keys.candles(origin, each) for each in series]
        arguments: list[Any] = [self._keys.quarantine, QUARANTINE_TTL]
        await self._writing.run(lambda redis: redis.run_script(_QUARANTINE, lists, arguments))
        keys = [notes, self._keys.quarantine + notes]
        fields = [QUARANTINE_TTL, *map(field_of, series)]
        await self._writing.run(lambda redis: redis.run_script(_FORGET, keys, fields))

    # -- Reading -------------------------------------------------------------------------------

    async def load(self, series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        """See `Database`."""
        windows: list[StoredWindow] = []
        for first in range(0, len(series), WINDOWS_PER_ROUND_TRIP):
            some = series[first : first + WINDOWS_PER_ROUND_TRIP]
            reply = await self._reading.run(partial(self._load, some))
            for each in _stored_windows(some, reply, time):
                windows.append(each)
                await trio.lowlevel.checkpoint()
        return windows

    def _load(self, series: Sequence[Series], redis: RedisClient) -> Any:
        names, origin = self._keys, self._origin
        keys = [names.meta, names.notes(origin)]
        keys += [names.candles(origin, each) for each in series]
        # One more than there may be, so that a longer list shows.
        arguments = [WINDOW_SIZE + 1, *map(field_of, series)]
        return redis.run_script(_LOAD, keys, arguments)

    async def former_format(self) -> str | None:
        """See `Database`."""
        name = self._keys.former_meta
        found: Any = await self._reading.run(lambda redis: redis.redis.hget(name, "format"))
        return None if found is None else readable(found)

    async def position(self) -> Position:
        """See `Database`."""
        found, origin, seq, time, state, last = await self._reading.run(self._position)
        if found is not None and found != FORMAT.encode():
            raise ForeignFormat(found)
        stored = None if found is None else origin_from_text(origin)
        self._origin = stored or self._origin
        return Position(
            after="0-0" if last is None else readable(last),
            seq=number_from_text(seq),
            state=state_from_text(state),
            origin=stored,
            time=number_from_text(time),
        )

    def _position(self, redis: RedisClient) -> Any:
        keys, shards = [self._keys.meta, self._keys.changes], self._keys.shards
        self._compare_count(lambda: _number_or(redis.redis.get(shards), 0))
        return redis.run_script(_POSITION, keys, [FORMAT])

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        """See `Database`."""
        block = max(1, _ms(min(within, self._timeout * WAITING_SHARE)))
        entries = await self._following.run(
            lambda redis: redis.read_stream(self._keys.changes, after, ENTRIES_PER_READ, block)
        )
        wall = wall_clock()
        return [(readable(name), entry_from_fields(fields, wall)) for name, fields in entries or ()]

    def reconnect(self) -> None:
        """See `Database`."""
        self._connections.reconnect()

    # -- For checks ----------------------------------------------------------------------------

    async def server_info(self) -> Mapping[str, Any]:
        """What the server says about itself."""
        return await self._reading.run(lambda redis: redis.info(self._keys.meta))

    async def failover_doubts(self, info: Mapping[str, Any]) -> list[str]:
        """Why a fail-over may not work, where `info` is what the primary says."""
        return await self._reading.run(lambda redis: redis.doubts(info))

    async def delete(self, *series: Series) -> None:
        """Delete everything in the namespace, windows of these series included."""
        keys = self._keys
        origin = self._origin
        names = [keys.meta, keys.lease, keys.changes, keys.notes(origin)]
        names += [keys.candles(origin, each) for each in series]
        await self._writing.run(lambda redis: redis.redis.delete(*names))
        await self._writing.run(lambda redis: redis.redis.delete(keys.shards))

    # -- Inside --------------------------------------------------------------------------------

    @property
    def _own_exchange(self) -> OwnExchange:
        assert self.exchange is not None, "one that has no exchange does not write"
        return self.exchange


_NAMES = ("write", "acquire", "release", "quarantine", "forget", "load", "position", "shards")
_WRITE, _ACQUIRE, _RELEASE, _QUARANTINE, _FORGET, _LOAD, _POSITION, _SHARDS = map(Script, _NAMES)


def _group_arguments(group: Group) -> list[Any]:
    """See `lua/write.lua`."""
    corrected = "".join(["1" if each else "0" for each in group.corrected])
    is_empty = group.is_whole and not group.candles
    notes = "" if group.notes is None else notes_to_text(group.notes, is_empty=is_empty)
    head = (field_of(group.series), name_in_entry(group.series), str(group.expected))
    lines = "\n".join((*head, str(int(group.is_whole)), corrected, notes))
    return [lines, b"\n".join(map(candle_to_text, group.candles))]


def _stored_windows(
    series: Sequence[Series], reply: Sequence[Any], time: int
) -> Iterator[StoredWindow]:
    """See `lua/load.lua`. Each takes a millisecond when it is read."""
    number, notes_type = _number_or(reply[0], 0), readable(reply[2])
    time = time or _number_or(reply[1], 0)
    found = zip(series, *(reply[first::4] for first in range(3, 7)), strict=True)
    for each, kind, count, text, notes in found:
        wrong = [
            kind
            for kind, right in ((readable(kind), "list"), (notes_type, "hash"))
            if kind not in (right, "none")
        ]
        if wrong:
            yield StoredWindow(each, None, f"WRONGTYPE: a {wrong[0]}", number)
        else:
            yield _stored_window(each, count, text, notes, time)._replace(seq=number)


def _stored_window(
    series: Series, count: int, text: bytes, notes: bytes | None, time: int
) -> StoredWindow:
    try:
        known = notes_from_text(notes, time)
        candles = candles_from_list(_lines(text, count), time)
    except Damaged as error:
        return StoredWindow(series, None, str(error))
    if not candles and not known.is_empty:
        return StoredWindow(series, None, None)
    return StoredWindow(series, WindowState(candles, *known.notes), None)


def _lines(text: bytes, count: int) -> Sequence[bytes]:
    lines = text.split(b"\n") if count else []
    if len(lines) != count:
        raise Damaged("an entry of several lines")
    return lines


def _number_or(answer: Any, default: int) -> int:
    """A number that cannot be read is repaired by the leader."""
    try:
        return number_from_text(answer) if isinstance(answer, bytes) else default
    except Damaged:
        return default


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
