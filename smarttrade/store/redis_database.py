"""Redis by redis-py, in threads: the only module that knows the library.

redis-py cannot be awaited by Trio, so every call runs in a worker thread: writes one after the
other, reads likewise, and the call that waits for changes in a third, each with a limiter of its
own, so that none waits for another's thread. A call that is cancelled is left behind and keeps its
limiter until it has ended; what it still does is harmless, because batches are numbered.

The library's own retries are off: they would repeat a write without knowing whether it had
arrived, and keep a thread for most of a minute. The caller decides about retries. Each of its tries
is a new connection, as the name may lead to another server by now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

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
from .origin import MAX_ORIGIN, Exchange, ForeignOrigin
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
    from redis import Redis

T = TypeVar("T")

WINDOWS_PER_READ = 50  # windows in one round trip: 3 MB, which is 10 ms of a server's time
ENTRIES_PER_READ = 200  # of the change stream
MAX_LEASE = 60.0  # seconds; as long as the setting allows, and no lease of ours lasts longer
WAITING_SHARE = 0.5  # of the time limit; a server that waits for longer counts as dead


class RedisDatabase:
    """A shard of a namespace in the Redis at `url`. Connects when it is first used.

    `within` is the time limit in seconds for connecting, and for each answer.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        within: float,
        stream_length: int,
        exchange: Exchange | None = None,
        shard: int = 0,
    ) -> None:
        self.exchange = exchange
        self._origin = "" if exchange is None else exchange.name
        self._url = url
        self._within = within
        self._stream_length = stream_length
        self._keys = Keys(namespace, shard)
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(1)
        self._following = trio.CapacityLimiter(1)

    # -- Writing -------------------------------------------------------------------------------

    async def acquire(self, leader: str, lease: float) -> Leading | Held:
        """See `Database`."""
        exchange, keys = self._own_exchange, self._keys
        arguments = [lease_of(leader, exchange.name), leader, _ms(lease), _ms(MAX_LEASE), FORMAT]
        arguments += [keys.quarantine, QUARANTINE_TTL, *exchange.accepted]
        reply = await self._run(
            self._writing,
            lambda: _ACQUIRE.call(self._redis, [keys.lease, keys.meta, keys.changes], arguments),
        )
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

    async def release(self, leader: str) -> None:
        """See `Database`."""
        lease_text = lease_of(leader, self._own_exchange.name)
        await self._run(
            self._writing, lambda: _RELEASE.call(self._redis, [self._keys.lease], [lease_text])
        )

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        """See `Database`."""
        lease_text = lease_of(leader, self._own_exchange.name)
        head = [leader, epoch, batch.number, batch.written, lease_text, _ms(lease)]
        reply = await self._run(self._writing, lambda: self._write(head, batch))
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

    def _write(self, head: Sequence[Any], batch: Batch) -> Any:
        names, origin = self._keys, self._origin
        keys = [names.lease, names.meta, names.changes, names.notes(origin)]
        state = "" if batch.state is None else state_to_text(batch.state)
        arguments: list[Any] = [*head, WINDOW_SIZE, self._stream_length, int(batch.is_heartbeat)]
        arguments += [FORMAT, origin, batch.time, names.quarantine, QUARANTINE_TTL]
        arguments += [batch.state_digest, state]
        for group in batch.groups:
            keys.append(names.candles(origin, group.series))
            arguments += _group_arguments(group)
        return _WRITE.call(self._redis, keys, arguments)

    async def quarantine(self, series: Sequence[Series]) -> None:
        """See `Database`."""
        origin = self._origin
        notes = self._keys.notes(origin)
        lists = [self._keys.candles(origin, each) for each in series]
        arguments: list[Any] = [self._keys.quarantine, QUARANTINE_TTL]
        await self._run(self._writing, lambda: _QUARANTINE.call(self._redis, lists, arguments))
        keys = [notes, self._keys.quarantine + notes]
        fields = [QUARANTINE_TTL, *map(field_of, series)]
        await self._run(self._writing, lambda: _FORGET.call(self._redis, keys, fields))

    # -- Reading -------------------------------------------------------------------------------

    async def load(self, series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        """See `Database`."""
        windows: list[StoredWindow] = []
        for first in range(0, len(series), WINDOWS_PER_READ):
            some = series[first : first + WINDOWS_PER_READ]
            windows += await self._run(self._reading, partial(self._load, some, time))
        return windows

    def _load(self, series: Sequence[Series], time: int) -> list[StoredWindow]:
        origin = self._origin
        with self._redis.pipeline(transaction=True) as pipeline:
            for each in series:
                # One more than there may be, so that a longer list shows.
                pipeline.lrange(self._keys.candles(origin, each), -WINDOW_SIZE - 1, -1)
                pipeline.hget(self._keys.notes(origin), field_of(each))
            pipeline.hget(self._keys.meta, "seq")
            *answers, seq = pipeline.execute(raise_on_error=False)
        _raise_unless_foreign([*answers, seq])
        number = _seq_or_0(seq)
        return [
            _stored_window(each, texts, notes, time)._replace(seq=number)
            for each, texts, notes in zip(series, answers[::2], answers[1::2], strict=True)
        ]

    async def former_format(self) -> str | None:
        """See `Database`."""
        name = self._keys.former_meta
        found: Any = await self._run(self._reading, lambda: self._redis.hget(name, "format"))
        return None if found is None else readable(found)

    async def position(self) -> Position:
        """See `Database`."""
        meta, entries = await self._run(self._reading, self._position)
        found, origin, seq, time, state = meta
        if found is not None and found != FORMAT.encode():
            raise ForeignFormat(found)
        stored = None if found is None else origin_from_text(origin)
        self._origin = stored or self._origin
        return Position(
            after=readable(entries[0][0]) if entries else "0-0",
            seq=number_from_text(seq),
            state=state_from_text(state),
            origin=stored,
            time=number_from_text(time),
        )

    def _position(self) -> tuple[Sequence[bytes | None], Sequence[tuple[bytes, Any]]]:
        fields = ["format", "origin", "seq", "time", "state"]
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hmget(self._keys.meta, fields)
            pipeline.xrevrange(self._keys.changes, count=1)
            meta, entries = pipeline.execute(raise_on_error=False)
        if isinstance(meta, Exception):
            raise meta
        if isinstance(entries, Exception) and meta[0] in (None, FORMAT.encode()):
            raise entries
        return meta, entries

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        """See `Database`."""
        block = max(1, _ms(min(within, self._within * WAITING_SHARE)))
        # What the library says about types covers every protocol; ours is known.
        answer: Any = await self._run(
            self._following,
            lambda: self._redis.xread({self._keys.changes: after}, ENTRIES_PER_READ, block),
        )
        if not answer:
            return []
        return [(readable(name), entry_from_fields(fields)) for name, fields in answer[0][1]]

    # -- For checks ----------------------------------------------------------------------------

    async def server_info(self) -> Mapping[str, Any]:
        """What the server says about itself."""
        # In the thread, as is all that imports the library.
        return await self._run(self._reading, lambda: self._redis.info())  # noqa: PLW0108

    async def delete(self, *series: Series) -> None:
        """Delete everything in the namespace, windows of these series included."""
        keys = self._keys
        origin = self._origin
        names = [keys.meta, keys.lease, keys.changes, keys.notes(origin)]
        names += [keys.candles(origin, each) for each in series]
        await self._run(self._writing, lambda: self._redis.delete(*names))

    # -- Inside --------------------------------------------------------------------------------

    @property
    def _own_exchange(self) -> Exchange:
        assert self.exchange is not None, "one that has no exchange does not write"
        return self.exchange

    @cached_property
    def _redis(self) -> Redis:
        return connect(self._url, within=self._within)

    async def _run(self, limiter: trio.CapacityLimiter, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(
            self._call, call, limiter=limiter, abandon_on_cancel=True
        )

    def _call(self, call: Callable[[], T]) -> T:
        """Call, in a thread. After any failure the next call resolves the name and connects anew.

        The library puts a connection back whose server has refused a command. One that leads to a
        demoted primary would be refused until this process ends.
        """
        try:
            return _translated(call)
        except DatabaseUnavailable:
            self._redis.connection_pool.disconnect(inuse_connections=False)
            raise


def connect(url: str, *, within: float) -> Redis:
    """A client; it connects when it is first used, and again whenever it has to."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": within,
        "socket_connect_timeout": within,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # the only one that every server speaks without being asked
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    return Redis.from_url(url, **options)


def _translated(call: Callable[[], T]) -> T:
    """Call, in a thread; every failure of the library or the network is one kind to us."""
    from redis.exceptions import RedisError

    try:
        return call()
    except (RedisError, OSError) as error:
        text = " ".join(str(error).split()) or "no reason given"
        raise DatabaseUnavailable(f"{type(error).__name__}: {text:.300}") from error


class _Script:
    """A script by its name in `lua/`, sent whole only to a server that does not have it."""

    def __init__(self, name: str) -> None:
        self._text = files(__package__).joinpath("lua", f"{name}.lua").read_bytes()
        self._digest = sha1(self._text, usedforsecurity=False).hexdigest()

    def call(self, redis: Redis, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        from redis.exceptions import NoScriptError

        try:
            return redis.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return redis.eval(self._text, len(keys), *keys, *arguments)  # type: ignore[arg-type]


_NAMES = ("write", "acquire", "release", "quarantine", "forget")
_WRITE, _ACQUIRE, _RELEASE, _QUARANTINE, _FORGET = map(_Script, _NAMES)


def _group_arguments(group: Group) -> list[Any]:
    """See `lua/write.lua`."""
    corrected = "".join(["1" if each else "0" for each in group.corrected])
    is_empty = group.is_whole and not group.candles
    notes = "" if group.notes is None else notes_to_text(group.notes, is_empty=is_empty)
    head = (field_of(group.series), name_in_entry(group.series), str(group.expected))
    lines = "\n".join((*head, str(int(group.is_whole)), corrected, notes))
    return [lines, b"\n".join(map(candle_to_text, group.candles))]


def _raise_unless_foreign(answers: Sequence[Any]) -> None:
    """A key of another type is an answer about that key; any other error concerns all of them."""
    for answer in answers:
        if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
            raise answer


def _stored_window(series: Series, texts: Any, notes: Any, time: int) -> StoredWindow:
    for answer in (texts, notes):
        if isinstance(answer, Exception):
            return StoredWindow(series, None, str(answer))
    try:
        known = notes_from_text(notes, time)
        candles = candles_from_list(texts, time)
    except Damaged as error:
        return StoredWindow(series, None, str(error))
    if not candles and not known.is_empty:
        return StoredWindow(series, None, None)
    return StoredWindow(series, WindowState(candles, *known.notes), None)


def _seq_or_0(answer: Any) -> int:
    """A number that cannot be read is found by `position`, and repaired by the leader."""
    try:
        return number_from_text(answer) if isinstance(answer, bytes) else 0
    except Damaged:
        return 0


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
