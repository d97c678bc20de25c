"""What `RedisDatabase` does, in memory and in virtual time: the contract test runs against both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha1

import trio

from smarttrade.market.candle import Candle, supersedes
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.market.window_state import SeriesNotes, WindowState
from smarttrade.store.database import (
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
from smarttrade.store.events import Published
from smarttrade.store.exchange_clock import FUTURE_TOLERANCE
from smarttrade.store.origin import ForeignOrigin, OwnExchange
from smarttrade.store.redis_format import FORMAT, Entry, SeriesChange, StoreState, state_to_text
from smarttrade.store.shards import Shard, WrongShardCount

LATENCY = 0.001

ONLY_SHARD = Shard()

BINANCE = OwnExchange("binance.com")


@dataclass
class Contents:
    """All that a server would lose."""

    shards: int | None = None
    format: str | None = None
    origin: str | None = None
    time: int = 0
    leader: str | None = None
    epoch: int = 0
    batch: int = 0
    seq: int = 0
    state: StoreState | None = None
    lists: dict[Series, list[Candle]] = field(default_factory=dict)
    notes: dict[Series, SeriesNotes] = field(default_factory=dict)
    changes: list[tuple[str, Entry]] = field(default_factory=list)
    names: int = 0
    holder: str | None = None
    holder_origin: str | None = None
    held_until: float = 0.0


class VirtualRedis:
    """One shard in a server; `connect` gives each process its own way to it."""

    def __init__(self, stream_length: int = 1000) -> None:
        self.contents = Contents()
        self.stream_length = stream_length
        self.quarantined: list[Series] = []
        self.refusal: str | None = None
        """What every call is refused with, if anything."""
        self.is_frozen = False
        self.changed = trio.Event()

    def connect(
        self, exchange: OwnExchange | None = BINANCE, shard: Shard = ONLY_SHARD
    ) -> VirtualDatabase:
        return VirtualDatabase(self, exchange, shard)

    def flush(self) -> None:
        self.contents = Contents()


class VirtualDatabase:
    """A process's way to the server, which may be cut, or lose answers."""

    def __init__(
        self,
        server: VirtualRedis,
        exchange: OwnExchange | None = BINANCE,
        shard: Shard = ONLY_SHARD,
    ) -> None:
        self.server = server
        self.shard = shard
        self.exchange = exchange
        self._origin = "" if exchange is None else exchange.name
        self.is_cut = False
        self.latency = LATENCY
        self.load_latency = 0.0
        """Seconds more that it takes to read windows."""
        self.lose_answers = 0
        """So many writes are done without an answer."""

    @property
    def _own_exchange(self) -> OwnExchange:
        assert self.exchange is not None
        return self.exchange

    async def _reach(self) -> Contents:
        await trio.sleep(self.latency)
        if self.server.is_frozen:
            await trio.sleep(1.0)
            raise DatabaseUnavailable("TimeoutError: no answer")
        if self.is_cut:
            raise DatabaseUnavailable("ConnectionError: cut")
        if self.server.refusal is not None:
            raise DatabaseUnavailable(self.server.refusal)
        return self.server.contents

    async def acquire(self, leader: str, lease: float) -> Leading | Held:
        c = await self._reach()
        now, exchange = trio.current_time(), self._own_exchange
        c.shards = c.shards or self.shard.count
        self._check_shards(c)
        is_ours = c.format in (None, FORMAT)
        if is_ours and c.origin is not None and c.origin not in exchange.accepted:
            raise ForeignOrigin(c.origin, exchange, "virtual")
        if c.holder is not None and c.holder != leader and now < c.held_until:
            if c.holder_origin is not None and c.holder_origin not in exchange.accepted:
                raise ForeignOrigin(c.holder_origin, exchange, "virtual")
            return Held(f"{c.holder}@{c.holder_origin}", c.held_until - now)
        if c.format is not None and not is_ours:
            raise ForeignFormat(c.format.encode())
        c.holder, c.held_until, c.holder_origin = leader, now + lease, exchange.name
        if c.leader != leader:
            c.format, c.leader, c.epoch, c.batch = FORMAT, leader, c.epoch + 1, 0
            c.origin = c.origin or exchange.name
        self._origin = c.origin or exchange.name
        return Leading(c.epoch, c.batch, c.time)

    def _check_shards(self, c: Contents) -> None:
        if c.shards not in (None, self.shard.count):
            raise WrongShardCount(c.shards, self.shard.count, "virtual")

    async def release(self, leader: str) -> None:
        c = await self._reach()
        if c.holder == leader:
            c.holder = None

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        c = await self._reach()
        if c.leader is None:
            return Lost()
        if (c.leader, c.epoch) != (leader, epoch):
            return Fenced(c.leader)
        if (c.format, c.origin) != (FORMAT, self._origin):
            return Lost()
        if c.batch >= batch.number:
            return Late()
        if c.batch < batch.written:
            return Lost()
        is_state_lost = batch.state is None and batch.state_digest not in ("", _digest(c.state))
        c.batch, c.holder, c.held_until = batch.number, leader, trio.current_time() + lease
        c.holder_origin, c.time = self._own_exchange.name, batch.time
        lengths, changes = [], []
        for group in batch.groups:
            length, change = _put(c, group, batch.time)
            lengths.append(length)
            if change is not None:
                changes.append(change)
        c.state = batch.state or c.state
        if changes or batch.state or batch.is_heartbeat:
            c.seq += 1
            c.names += 1
            c.changes.append((f"{c.names}-0", _entry(c, batch, changes)))
            del c.changes[: -self.server.stream_length]
            self.server.changed.set()
            self.server.changed = trio.Event()
        if self.lose_answers:
            self.lose_answers -= 1
            raise DatabaseUnavailable("TimeoutError: no answer")
        return Written(tuple(lengths), is_state_lost)

    async def quarantine(self, series: Sequence[Series]) -> None:
        c = await self._reach()
        for each in series:
            c.notes.pop(each, None)
            if c.origin == self._origin and c.lists.pop(each, None) is not None:
                self.server.quarantined.append(each)

    async def former_format(self) -> str | None:
        await self._reach()
        return None

    async def load(self, series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        await trio.sleep(self.load_latency)
        c = await self._reach()
        return [self._stored(c, each, time or c.time) for each in series]

    def _stored(self, c: Contents, series: Series, time: int) -> StoredWindow:
        candles = tuple(c.lists.get(series, ())) if c.origin == self._origin else ()
        if time and candles and candles[-1].open_time > time + FUTURE_TOLERANCE:
            return StoredWindow(series, None, "candle from the future", c.seq)
        if series not in c.lists:
            return StoredWindow(series, None, None, c.seq)
        state = WindowState(candles, *c.notes.get(series, SeriesNotes()))
        return StoredWindow(series, state, None, c.seq)

    async def position(self) -> Position:
        c = await self._reach()
        self._check_shards(c)
        if c.format is not None and c.format != FORMAT:
            raise ForeignFormat(c.format.encode())
        after = c.changes[-1][0] if c.changes else "0-0"
        self._origin = c.origin or self._origin
        return Position(after, c.seq, c.state, c.origin, c.time)

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        await self._reach()
        with trio.move_on_after(within):
            while not self._after(after):
                await self.server.changed.wait()
        await self._reach()
        return self._after(after)

    def reconnect(self) -> None:
        """There is one server."""

    def _after(self, after: str) -> list[tuple[str, Entry]]:
        place = int(after.partition("-")[0])
        changes = self.server.contents.changes
        return [each for each in changes if int(each[0].partition("-")[0]) > place]


def _digest(state: StoreState | None) -> str:
    return "" if state is None else sha1(state_to_text(state).encode()).hexdigest()


def _entry(c: Contents, batch: Batch, changes: Sequence[SeriesChange]) -> Entry:
    return Entry(c.seq, batch.state, tuple(changes), c.origin or "", batch.time)


def _put(c: Contents, group: Group, time: int) -> tuple[int, SeriesChange | None]:
    series = group.series
    candles = c.lists.get(series, [])
    news: list[Published] = []
    if group.is_whole:
        candles = _with_tail([*group.candles], candles, time)
    elif group.expected >= 0 and len(candles) != group.expected:
        return -1, None
    else:
        news = [
            Published(series, candle, corrected)
            for candle, corrected in zip(group.candles, group.corrected, strict=True)
            if _put_one(candles, candle, corrected=corrected)
        ]
    if candles or group.is_whole:
        c.lists[series] = candles
    if group.notes is not None:
        c.notes[series] = group.notes
    if not (group.is_whole or group.notes is not None or news):
        return len(candles), None
    return len(candles), SeriesChange(series, group.is_whole, tuple(news), group.notes)


def _with_tail(given: list[Candle], current: list[Candle], time: int) -> list[Candle]:
    if not given:
        return given
    last = given[-1].open_time
    for candle in current:
        if candle.open_time == last and candle.closed and not given[-1].closed:
            given[-1] = candle
    given += [candle for candle in current if last < candle.open_time <= time]
    return given[-WINDOW_SIZE:]


def _put_one(candles: list[Candle], candle: Candle, *, corrected: bool) -> bool:
    for index, current in enumerate(candles):
        if current.open_time == candle.open_time:
            if candle == current or not (corrected or supersedes(candle, current)):
                return False
            candles[index] = candle
            return True
    if candles and len(candles) >= WINDOW_SIZE and candle.open_time < candles[0].open_time:
        return False
    candles.append(candle)
    candles.sort()
    del candles[:-WINDOW_SIZE]
    return True
