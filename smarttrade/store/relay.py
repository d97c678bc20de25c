"""The relay actor: keeps a gateway's windows equal to those of the process that leads.

It notes the end of the change stream first, reads all windows second, and then follows the stream.
So nothing is missing, and what comes twice changes nothing. The entries of the stream are
numbered; where a number is missing, or anything cannot be read, it begins again. It does so, too,
when the store has failed while it handled a message. What is different then is published to
clients like any change, in order.

A fail-over may leave the server alive that it is connected to, and write to another. So while the
leader is silent the relay reconnects from time to time.

Candles go on being served from memory whatever happens. When the leader has not been heard for a
while, clients receive status `stale`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import structlog
import trio

from actors import Backoff, Mailbox

from ..market.series import Series
from ..market.window_state import SeriesNotes
from .damaged_windows import DamagedWindows
from .database import Database, DatabaseUnavailable, ForeignFormat, Position, StoredWindow
from .events import Published
from .exchange_clock import is_credible_entry
from .feed import Feed, FeedStatus
from .followed_shards import FollowedShards
from .messages import (
    AdoptWindows,
    CheckOverdue,
    FollowUpdates,
    ReportFeed,
    StoreMessage,
)
from .mismatch import NamespaceMismatch, WrongNamespace
from .redis_format import Entry, StoreState
from .redis_report import RedisRole, RelayReport
from .shard_logs import bind_shard
from .starting import tell_or_start
from .stored_values import Damaged

logger = structlog.get_logger("store.relay")

RELOAD_BACKOFF = Backoff(first=0.1, max_pause=2.0)  # seconds before beginning again

ENTRY_TIMEOUT = 0.5  # seconds for the next entry before asking again

CHECK_OVERDUE_INTERVAL = 1.0  # seconds

RECONNECT_BACKOFF = Backoff(first=1.0, max_pause=30.0)
"""Seconds between new connections while the leader is silent."""

SILENCE_CHECK_INTERVAL = 0.25  # seconds between two looks at how long the leader has been silent

WINDOWS_PER_READ = 25
WINDOWS_PER_MESSAGE = 5  # handed to the store at a time: 6 ms


Progress = Callable[[int, int], None]
"""Called with the number of windows that have been read, and of all."""


class FellBehind(Exception):
    """Entries are gone that were not read, or there are other series now."""


async def run_relay(
    database: Database,
    store: Mailbox[StoreMessage],
    report: RelayReport,
    *,
    stale_after: float,
    wall_clock: Callable[[], float] = time.time,
    shards: FollowedShards | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Load and follow a shard until cancelled; `shards` knows all that this process follows.

    Has started when the store has all windows, or has no room for more of them, as it starts after
    this; or when they cannot be loaded.
    `stale_after` are seconds of silence after which clients receive status `stale`.

    Raises:
        WrongNamespace: what is stored was never for us.
    """
    bind_shard(database.shard)
    shards = shards or FollowedShards()
    feed = _Feed(store, stale_after, wall_clock, shards, database.shard.number)
    reconnects = _Reconnects(database, stale_after)
    failures, has_started = 0, False

    def start() -> None:
        nonlocal has_started
        if not has_started:
            has_started = True
            task_status.started()

    relay = _Relay(database, store, report, feed, shards, reconnects, start, wall_clock)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.watch)
        if database.shard.number == 0:  # one relay looks after the series of all
            nursery.start_soon(_check_overdue, store)
        while True:
            try:
                await relay.load()
                start()
                failures = 0
                await relay.follow()
            except FellBehind as reason:
                report.fell_behind += 1
                logger.warning("relay_reloads", reason=str(reason))
            except (DatabaseUnavailable, ForeignFormat, Damaged) as error:
                report.errors += 1
                database.reconnect()
                if report.change(RedisRole.AWAY, str(error)):
                    logger.warning("redis_unavailable", error=str(error))
            start()
            failures += 1
            await trio.sleep(RELOAD_BACKOFF.pause(failures, random.random()))


async def _check_overdue(store: Mailbox[StoreMessage]) -> None:
    while True:
        await trio.sleep(CHECK_OVERDUE_INTERVAL)
        await store.tell(CheckOverdue())


class _Feed:
    """The feed status for clients: the leader's, while its heartbeats arrive."""

    def __init__(
        self,
        store: Mailbox[StoreMessage],
        stale_after: float,
        wall_clock: Callable[[], float],
        shards: FollowedShards,
        shard: int,
    ) -> None:
        self._store = store
        self._shards = shards
        self._shard = shard
        self._stale_after = stale_after
        self._wall_clock = wall_clock
        self._heard_at = trio.current_time()
        self._leader_status: FeedStatus | None = None
        self._reported: FeedStatus | None = None

    @property
    def silence(self) -> float:
        """Seconds since the leader was heard."""
        return trio.current_time() - self._heard_at

    def learn(self, status: FeedStatus) -> None:
        """The leader's last status, whether or not it is alive."""
        self._leader_status = status

    async def heard(self, status: FeedStatus | None) -> None:
        """The leader lives, and perhaps says how its feed is."""
        self._heard_at = trio.current_time()
        self._leader_status = status or self._leader_status
        if self._leader_status is not None:
            await self._report_status(self._leader_status)

    async def watch(self) -> None:
        while True:
            await trio.sleep(SILENCE_CHECK_INTERVAL)
            is_stale = self._reported is not None and self._reported.feed is Feed.STALE
            if self.silence > self._stale_after and not is_stale:
                logger.warning("leader_silent", seconds=round(self.silence, 1))
                await self._report_status(FeedStatus(Feed.STALE, self._wall_clock()))

    async def _report_status(self, status: FeedStatus) -> None:
        if status != self._reported:
            self._reported = status
            report = self._shards.report(self._shard, status)
            if report is not None:
                await self._store.tell(ReportFeed(*report))


class _Reconnects:
    """Reconnects while the leader is silent: it may be on another server."""

    def __init__(self, database: Database, stale_after: float) -> None:
        self._database = database
        self._stale_after = stale_after
        self._tries = 0
        self._due_at = 0.0
        """Seconds of silence."""

    def connect_if_due(self, silence: float) -> None:
        if silence < self._stale_after:
            self._tries = 0
            return
        if self._tries == 0 or silence >= self._due_at:
            if self._tries:  # the first time there is only a pause: others lost the leader, too
                self._database.reconnect()
            self._tries += 1
            self._due_at = silence + RECONNECT_BACKOFF.pause(self._tries, random.random())


class _Relay:
    def __init__(
        self,
        database: Database,
        store: Mailbox[StoreMessage],
        report: RelayReport,
        feed: _Feed,
        shards: FollowedShards,
        reconnects: _Reconnects,
        start: Callable[[], None],
        wall_clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._shards = shards
        self._store = store
        self._report = report
        self._feed = feed
        self._reconnects = reconnects
        self._start = start
        self._wall_clock = wall_clock
        self._after = "0-0"
        self._seq = 0
        self._time = 0
        """What the exchange's clock showed when the leader wrote last, in ms."""
        self._time_known_at = 0.0
        self._origin = ""
        self._catalogue: tuple[object, object] | None = None
        self._store_failures = store.failures
        self._loaded: dict[Series, int] = {}
        """The last entry that each window had when it was read: what it says is known."""
        self._damaged = DamagedWindows()

    # -- loading -------------------------------------------------------------------------------

    async def load(self) -> None:
        """Note the position, and read everything."""
        self._store_failures = self._store.failures
        position = await self._position()
        state = position.state
        if state is None or position.origin is None:
            raise DatabaseUnavailable("nothing has been written yet; does an ingest run?")
        self._after, self._seq, self._time = position.after, position.seq, position.time
        self._time_known_at = trio.current_time()
        self._origin, self._catalogue = position.origin, _catalogue(state)
        self._loaded.clear()
        self._damaged.clear()
        await self._adopt(state)
        progress = self._note_loaded if not self._report.loads else None
        await self._read([Series(s, i) for s in state.symbols for i in state.intervals], progress)
        self._feed.learn(state.feed)
        self._report.loads += 1
        if self._report.change(RedisRole.FOLLOWING):
            logger.info(
                "relay_following", after=position.after, seq=position.seq, origin=position.origin
            )

    async def _position(self) -> Position:
        try:
            return await self._database.position()
        except NamespaceMismatch as error:
            if not self._report.loads:
                raise WrongNamespace(str(error)) from error
            raise DatabaseUnavailable(str(error)) from error

    async def _adopt(self, state: StoreState) -> None:
        number = self._database.shard.number
        await self._store.tell(self._shards.adopt(number, state, self._origin))

    def _note_loaded(self, done: int, total: int) -> None:
        self._shards.note_loaded(self._database.shard.number, done, total)

    async def _read(self, series: Sequence[Series], progress: Progress | None = None) -> None:
        for first in range(0, len(series), WINDOWS_PER_READ):
            some = series[first : first + WINDOWS_PER_READ]
            stored = await self._database.load(some)
            for each in stored:
                self._note_damage(each)
            windows = [(each.series, each.state) for each in stored if each.state is not None]
            self._loaded |= {each.series: each.seq for each in stored}
            for at in range(0, len(windows), WINDOWS_PER_MESSAGE):
                part = windows[at : at + WINDOWS_PER_MESSAGE]
                await tell_or_start(self._store, AdoptWindows(part, self._time), self._start)
            if progress is not None:
                progress(first + len(some), len(series))

    def _note_damage(self, stored: StoredWindow) -> None:
        if stored.damage is not None and stored.series not in self._damaged:
            logger.error("damaged_series", series=str(stored.series), damage=stored.damage)
        is_damaged = stored.damage is not None
        self._damaged.note(stored.series, trio.current_time(), is_damaged=is_damaged)

    # -- following -----------------------------------------------------------------------------

    async def follow(self) -> None:
        """Apply entries until one is missing.

        Raises:
            FellBehind: begin again.
        """
        while True:
            await self._read(self._damaged.take(trio.current_time()))
            entries = await self._database.follow(self._after, ENTRY_TIMEOUT)
            if self._store.failures != self._store_failures:
                raise FellBehind("the store has failed: what it was about to take is lost")
            for name, entry in entries:
                if entry.seq != self._seq + 1:
                    raise FellBehind(f"entry {entry.seq} follows {self._seq}")
                if entry.origin != self._origin:
                    raise FellBehind(f"candles of {entry.origin} follow those of {self._origin}")
                self._learn_time(entry.time)
                self._after, self._seq = name, entry.seq
            if entries:
                await self._take([entry for _, entry in entries])
            elif self._feed.silence > ENTRY_TIMEOUT:
                self._reconnects.connect_if_due(self._feed.silence)
                await self._check_stream()

    def _learn_time(self, time: int) -> None:
        now = trio.current_time()
        expected = self._time and self._time + int(1000 * (now - self._time_known_at))
        if not is_credible_entry(time, expected, self._wall_clock()):
            raise FellBehind(f"an entry is from the future: {time} when it is about {expected}")
        if time > self._time:
            self._time, self._time_known_at = time, now

    async def _check_stream(self) -> None:
        """After a silence: whether the stream is still the one that we follow."""
        position = await self._position()
        if position.origin != self._origin:
            raise FellBehind(f"candles of {position.origin} replace those of {self._origin}")
        if position.seq < self._seq:
            raise FellBehind(f"the stream has begun again: {position.seq} after {self._seq}")
        if position.seq > self._seq and _place(position.after) <= _place(self._after):
            raise FellBehind(f"entry {position.seq} is not in the stream after {self._after}")

    async def _take(self, entries: Sequence[Entry]) -> None:
        published: list[Published] = []
        notes: dict[Series, SeriesNotes] = {}
        whole: dict[Series, None] = {}
        feed: FeedStatus | None = None
        for entry in entries:
            if entry.state is not None:
                feed = entry.state.feed
                if _catalogue(entry.state) != self._catalogue:
                    raise FellBehind("there are other series now")
                await self._adopt(entry.state)
            for change in entry.changes:
                if entry.seq <= self._loaded.get(change.series, 0):
                    continue
                if change.is_whole:
                    whole[change.series] = None
                elif change.series not in whole:  # else what is read will have it
                    published += change.published
                    if change.notes is not None:
                        notes[change.series] = change.notes
        await self._store.tell(FollowUpdates(published, notes, self._time))
        await self._read(list(whole))
        await self._feed.heard(feed)
        self._report.note_received()
        self._report.entries += len(entries)
        self._report.followed += len(published)
        self._report.reloads += len(whole)


def _place(name: str) -> tuple[int, ...]:
    """An entry's name as Redis orders them: milliseconds and a number within them."""
    parts = name.split("-")
    return tuple(int(part) for part in parts) if all(map(str.isdigit, parts)) else ()


def _catalogue(state: StoreState) -> tuple[object, object]:
    return state.symbols, state.intervals
