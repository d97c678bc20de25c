"""What `RedisDatabase` does, in memory and in virtual time: the contract test runs against both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from smarttrade.market.candle import Candle, supersedes
from smarttrade.market.series import Series
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.market.window_state import WindowState
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
from smarttrade.store.redis_format import FORMAT, Entry, SeriesChange, StoredGaps, StoreState

LATENCY = 0.001


@dataclass
class Contents:
    """All that a server would lose."""

    format: str | None = None
    leader: str | None = None
    epoch: int = 0
    batch: int = 0
    seq: int = 0
    state: StoreState | None = None
    lists: dict[Series, list[Candle]] = field(default_factory=dict)
    gaps: dict[Series, StoredGaps] = field(default_factory=dict)
    changes: list[tuple[str, Entry]] = field(default_factory=list)
    names: int = 0
    holder: str | None = None
    held_until: float = 0.0


class VirtualRedis:
    """One server; `connect` gives each process its own way to it."""

    def __init__(self, stream_length: int = 1000) -> None:
        self.contents = Contents()
        self.stream_length = stream_length
        self.quarantined: list[Series] = []
        self.refusal: str | None = None
        """What every call is refused with, if anything."""
        self.is_frozen = False
        self.told = trio.Event()

    def connect(self) -> VirtualDatabase:
        return VirtualDatabase(self)

    def flush(self) -> None:
        self.contents = Contents()


class VirtualDatabase:
    """A process's way to the server, which may be cut, or lose answers."""

    def __init__(self, server: VirtualRedis) -> None:
        self.server = server
        self.is_cut = False
        self.latency = LATENCY
        self.lose_answers = 0
        """Of so many writes that are done nobody is told."""

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
        now = trio.current_time()
        if c.holder is not None and c.holder != leader and now < c.held_until:
            return Held(c.holder, c.held_until - now)
        if c.format is not None and c.format != FORMAT:
            raise ForeignFormat(c.format)
        c.holder, c.held_until = leader, now + lease
        if c.leader != leader:
            c.format, c.leader, c.epoch, c.batch = FORMAT, leader, c.epoch + 1, 0
        return Leading(c.epoch, c.batch)

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
        if c.batch >= batch.number:
            return Late()
        if c.batch < batch.written:
            return Lost()
        c.batch, c.holder, c.held_until = batch.number, leader, trio.current_time() + lease
        lengths, changes = [], []
        for group in batch.groups:
            length, change = _put(c, group)
            lengths.append(length)
            if change is not None:
                changes.append(change)
        c.state = batch.state or c.state
        if changes or batch.state or batch.is_heartbeat:
            c.seq += 1
            c.names += 1
            c.changes.append((f"{c.names}-0", Entry(c.seq, batch.state, tuple(changes))))
            del c.changes[: -self.server.stream_length]
            self.server.told.set()
            self.server.told = trio.Event()
        if self.lose_answers:
            self.lose_answers -= 1
            raise DatabaseUnavailable("TimeoutError: nobody knows")
        return Written(tuple(lengths))

    async def quarantine(self, series: Sequence[Series]) -> None:
        c = await self._reach()
        for each in series:
            if c.lists.pop(each, None) is not None:
                self.server.quarantined.append(each)

    async def quarantine_all(self, series: Sequence[Series], found: str) -> None:
        if (await self._reach()).format != found:
            return
        await self.quarantine(series)
        holder, until = self.server.contents.holder, self.server.contents.held_until
        self.server.contents = Contents(holder=holder, held_until=until)

    async def load(self, series: Sequence[Series]) -> list[StoredWindow]:
        c = await self._reach()
        windows = []
        for each in series:
            candles = tuple(c.lists.get(each, ()))
            state = WindowState(candles, *c.gaps.get(each, StoredGaps())) if candles else None
            windows.append(StoredWindow(each, state, None))
        return windows

    async def position(self) -> Position:
        c = await self._reach()
        if c.format is not None and c.format != FORMAT:
            raise ForeignFormat(c.format)
        return Position(c.changes[-1][0] if c.changes else "0-0", c.seq, c.state)

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        await self._reach()
        with trio.move_on_after(within):
            while not self._after(after):
                await self.server.told.wait()
        await self._reach()
        return self._after(after)

    def _after(self, after: str) -> list[tuple[str, Entry]]:
        place = int(after.partition("-")[0])
        changes = self.server.contents.changes
        return [each for each in changes if int(each[0].partition("-")[0]) > place]


def _put(c: Contents, group: Group) -> tuple[int, SeriesChange | None]:
    series = group.series
    candles = c.lists.get(series, [])
    if group.is_whole:
        candles, told = list(group.candles), []
    elif group.expected >= 0 and len(candles) != group.expected:
        return -1, None
    else:
        told = [
            Published(series, candle, corrected)
            for candle, corrected in zip(group.candles, group.corrected, strict=True)
            if _put_one(candles, candle, corrected=corrected)
        ]
    if candles:
        c.lists[series] = candles
    if group.gaps is not None:
        c.gaps[series] = group.gaps
    if not (group.is_whole or group.gaps is not None or told):
        return len(candles), None
    return len(candles), SeriesChange(series, group.is_whole, tuple(told), group.gaps)


def _put_one(candles: list[Candle], candle: Candle, *, corrected: bool) -> bool:
    for index, held in enumerate(candles):
        if held.open_time == candle.open_time:
            if candle == held or not (corrected or supersedes(candle, held)):
                return False
            candles[index] = candle
            return True
    if candles and len(candles) >= WINDOW_SIZE and candle.open_time < candles[0].open_time:
        return False
    candles.append(candle)
    candles.sort()
    del candles[:-WINDOW_SIZE]
    return True
