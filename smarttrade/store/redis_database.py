"""Redis by redis-py, in threads: the only module that knows the library.

redis-py cannot be awaited by Trio, so every call runs in a worker thread: writes one after the
other, reads likewise, and the call that waits for changes in a third, each with a limiter of its
own, so that none waits for another's thread. A call that is cancelled is left behind and keeps its
limiter until it has ended; what it still does is harmless, because batches are numbered.

The library's own retries are off: they would repeat a write without knowing whether it had
arrived, and keep a thread for most of a minute. The caller decides about retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import sha1
from importlib.resources import files
from math import inf
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
from .redis_format import (
    FORMAT,
    QUARANTINE_TTL,
    Damaged,
    Entry,
    Keys,
    candle_to_text,
    candles_from_list,
    entry_from_fields,
    field_of,
    gaps_from_text,
    gaps_to_text,
    name_in_entry,
    state_from_text,
    state_to_text,
)

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

WINDOWS_PER_READ = 50  # windows in one round trip: 3 MB, which is 10 ms of a server's time
ENTRIES_PER_READ = 200  # of the change stream
WAITING_SHARE = 0.5  # of the time limit; a server that waits for longer counts as dead


class RedisDatabase:
    """A namespace in the Redis at `url`. Connects when it is first used.

    `within` is the time limit in seconds for connecting, and for each answer.
    """

    def __init__(self, url: str, namespace: str, *, within: float, stream_length: int) -> None:
        self._url = url
        self._within = within
        self._stream_length = stream_length
        self._keys = Keys(namespace)
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(1)
        self._following = trio.CapacityLimiter(1)

    # -- Writing -------------------------------------------------------------------------------

    async def acquire(self, leader: str, lease: float) -> Leading | Held:
        """See `Database`."""
        keys = self._keys
        reply = await self._run(
            self._writing,
            lambda: _ACQUIRE.call(
                self._redis,
                [keys.lease, keys.meta, keys.changes, keys.gaps],
                [leader, _ms(lease), FORMAT, keys.quarantine, QUARANTINE_TTL],
            ),
        )
        match reply:
            case [b"LEADING", int(epoch), int(written)]:
                return Leading(epoch, written)
            case [b"HELD", bytes(holder), int(left)]:
                return Held(_text(holder), left / 1000 if left >= 0 else inf)  # it has no end
            case [b"FORMAT", bytes(found)]:
                raise ForeignFormat(_text(found))
        raise DatabaseUnavailable(f"not an answer to acquire: {reply!r:.200}")

    async def release(self, leader: str) -> None:
        """See `Database`."""
        await self._run(
            self._writing, lambda: _RELEASE.call(self._redis, [self._keys.lease], [leader])
        )

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        """See `Database`."""
        reply = await self._run(self._writing, lambda: self._write(leader, epoch, lease, batch))
        match reply:
            case [b"OK", int(), *lengths]:
                return Written(tuple(lengths))
            case [b"FENCED", bytes(other)]:
                return Fenced(_text(other))
            case [b"LOST"]:
                return Lost()
            case [b"LATE"]:
                return Late()
        raise DatabaseUnavailable(f"not an answer to write: {reply!r:.200}")

    def _write(self, leader: str, epoch: int, lease: float, batch: Batch) -> Any:
        keys = [self._keys.lease, self._keys.meta, self._keys.changes, self._keys.gaps]
        state = "" if batch.state is None else state_to_text(batch.state)
        arguments: list[Any] = [leader, epoch, batch.number, batch.written, _ms(lease)]
        arguments += [WINDOW_SIZE, self._stream_length, int(batch.is_heartbeat), state]
        for group in batch.groups:
            keys.append(self._keys.candles(group.series))
            arguments += _group_arguments(group)
        return _WRITE.call(self._redis, keys, arguments)

    async def quarantine(self, series: Sequence[Series]) -> None:
        """See `Database`."""
        await self._quarantine([self._keys.candles(each) for each in series])

    async def quarantine_all(self, series: Sequence[Series], found: str) -> None:
        """See `Database`."""
        keys = self._keys
        lists = [keys.candles(each) for each in series]
        await self._quarantine([keys.meta, keys.changes, keys.gaps, *lists], found)

    async def _quarantine(self, keys: Sequence[str], found: str = "") -> None:
        arguments = [self._keys.quarantine, QUARANTINE_TTL, found]
        await self._run(self._writing, lambda: _QUARANTINE.call(self._redis, keys, arguments))

    # -- Reading -------------------------------------------------------------------------------

    async def load(self, series: Sequence[Series]) -> list[StoredWindow]:
        """See `Database`."""
        windows: list[StoredWindow] = []
        for first in range(0, len(series), WINDOWS_PER_READ):
            some = series[first : first + WINDOWS_PER_READ]
            windows += await self._run(self._reading, partial(self._load, some))
        return windows

    def _load(self, series: Sequence[Series]) -> list[StoredWindow]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for each in series:
                pipeline.lrange(self._keys.candles(each), 0, -1)
                pipeline.hget(self._keys.gaps, field_of(each))
            answers = pipeline.execute(raise_on_error=False)
        _raise_unless_foreign(answers)
        return [
            _stored_window(each, texts, gaps)
            for each, texts, gaps in zip(series, answers[::2], answers[1::2], strict=True)
        ]

    async def position(self) -> Position:
        """See `Database`."""
        meta, entries = await self._run(self._reading, self._position)
        found = meta.get(b"format")
        if found is not None and _text(found) != FORMAT:
            raise ForeignFormat(_text(found))
        state = state_from_text(meta.get(b"state"))
        seq = _number(meta.get(b"seq", b"0"))
        return Position(_text(entries[0][0]) if entries else "0-0", seq, state)

    def _position(self) -> tuple[Mapping[bytes, bytes], Sequence[tuple[bytes, Any]]]:
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(self._keys.meta)
            pipeline.xrevrange(self._keys.changes, count=1)
            meta, entries = pipeline.execute()
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
        return [(_text(name), entry_from_fields(fields)) for name, fields in answer[0][1]]

    # -- For checks ----------------------------------------------------------------------------

    async def server_info(self) -> Mapping[str, Any]:
        """What the server says about itself."""
        # In the thread, as is all that imports the library.
        return await self._run(self._reading, lambda: self._redis.info())  # noqa: PLW0108

    async def delete(self, *series: Series) -> None:
        """Delete everything in the namespace, windows of these series included."""
        keys = self._keys
        names = [keys.meta, keys.lease, keys.gaps, keys.changes, *map(keys.candles, series)]
        await self._run(self._writing, lambda: self._redis.delete(*names))

    # -- Inside --------------------------------------------------------------------------------

    @cached_property
    def _redis(self) -> Redis:
        return connect(self._url, within=self._within)

    async def _run(self, limiter: trio.CapacityLimiter, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(
            _translated, call, limiter=limiter, abandon_on_cancel=True
        )


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


_WRITE, _ACQUIRE, _RELEASE, _QUARANTINE = map(
    _Script, ("write", "acquire", "release", "quarantine")
)


def _group_arguments(group: Group) -> list[Any]:
    """See `lua/write.lua`."""
    corrected = "".join(["1" if each else "0" for each in group.corrected])
    gaps = "" if group.gaps is None else gaps_to_text(group.gaps)
    head = (field_of(group.series), name_in_entry(group.series), str(group.expected))
    lines = "\n".join((*head, str(int(group.is_whole)), corrected, gaps))
    return [lines, b"\n".join(map(candle_to_text, group.candles))]


def _raise_unless_foreign(answers: Sequence[Any]) -> None:
    """A key of another type is an answer about that key; any other error concerns all of them."""
    for answer in answers:
        if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
            raise answer


def _stored_window(series: Series, texts: Any, gaps: Any) -> StoredWindow:
    for answer in (texts, gaps):
        if isinstance(answer, Exception):
            return StoredWindow(series, None, str(answer))
    try:
        if not texts:
            return StoredWindow(series, None, None)
        state = WindowState(candles_from_list(texts), *gaps_from_text(gaps))
    except Damaged as error:
        return StoredWindow(series, None, str(error))
    return StoredWindow(series, state, None)


def _number(text: bytes) -> int:
    if not text.isdigit():
        raise Damaged(f"not a number: {text!r:.50}")
    return int(text)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _text(answer: bytes) -> str:
    return answer.decode(errors="replace")
