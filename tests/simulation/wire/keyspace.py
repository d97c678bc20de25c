"""What a server holds, and the commands of Redis that the product uses, in virtual time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Any, NoReturn

import trio

from ..deterministic import START

NODE_SIZE = 100
"""Entries that a stream is trimmed by, as `MAXLEN ~` has it."""


class ReplyError(Exception):
    """An error reply; its first word is the code."""


class Status(bytes):
    """A simple string."""


@dataclass
class Stream:
    names: list[tuple[int, int]] = field(default_factory=list)
    entries: list[list[bytes]] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)

    def copy(self) -> Stream:
        return Stream([*self.names], [*self.entries], self.last)

    def after(self, name: tuple[int, int], count: int) -> list[Any]:
        first = bisect_right(self.names, name)
        return [
            [_name(each), entry]
            for each, entry in islice(
                zip(self.names, self.entries, strict=True), first, first + count
            )
        ]


Stored = bytes | dict[bytes, bytes] | list[bytes] | Stream
KINDS = {bytes: b"string", dict: b"hash", list: b"list", Stream: b"stream"}


class Keyspace:
    def __init__(self) -> None:
        self.keys: dict[bytes, Stored] = {}
        self._ends: dict[bytes, float] = {}

    def copy(self) -> Keyspace:
        new = Keyspace()
        new.keys = {
            key: stored if isinstance(stored, bytes) else stored.copy()
            for key, stored in self.keys.items()
        }
        new._ends = dict(self._ends)
        return new

    def move(self, key: bytes, to: Keyspace) -> None:
        to.keys[key] = self.keys.pop(key)
        if (end := self._ends.pop(key, None)) is not None:
            to._ends[key] = end

    def has(self, key: bytes) -> bool:
        self._expire(key)
        return key in self.keys

    def run(self, command: Sequence[bytes]) -> Any:
        """Raises: ReplyError."""
        name, *arguments = command
        found = COMMANDS.get(name.upper())
        if found is None:
            raise ReplyError(f"ERR unknown command '{name.decode()}'")
        return found(self, *arguments)

    def _expire(self, key: bytes) -> None:
        if self._ends.get(key, inf) <= trio.current_time():
            del self._ends[key], self.keys[key]

    def _get(self, key: bytes, kind: type[Any]) -> Any:
        self._expire(key)
        stored = self.keys.get(key)
        if stored is not None and not isinstance(stored, kind):
            raise ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return stored

    def _list(self, key: bytes) -> list[bytes]:
        return self._get(key, list) or []

    def _hash(self, key: bytes) -> dict[bytes, bytes]:
        return self._get(key, dict) or {}

    def _make(self, key: bytes, kind: type[Any]) -> Any:
        found = self._get(key, kind)
        if found is None:
            found = self.keys[key] = kind()
        return found

    # Of any key

    def type(self, key: bytes) -> Status:
        self._expire(key)
        return Status(KINDS[type(self.keys[key])] if key in self.keys else b"none")

    def exists(self, key: bytes) -> int:
        return int(self.has(key))

    def delete(self, *keys: bytes) -> int:
        found = [key for key in keys if self.has(key)]
        for key in found:
            del self.keys[key]
            self._ends.pop(key, None)
        return len(found)

    def rename(self, key: bytes, new: bytes) -> Status:
        if not self.has(key):
            raise ReplyError("ERR no such key")
        self.delete(new)
        self.keys[new] = self.keys.pop(key)
        if (end := self._ends.pop(key, None)) is not None:
            self._ends[new] = end
        return Status(b"OK")

    def pexpire(self, key: bytes, milliseconds: bytes) -> int:
        if not self.has(key):
            return 0
        self._ends[key] = trio.current_time() + int(milliseconds) / 1000
        return 1

    def expire(self, key: bytes, seconds: bytes) -> int:
        return self.pexpire(key, b"%d" % (int(seconds) * 1000))

    def pttl(self, key: bytes) -> int:
        if not self.has(key):
            return -2
        end = self._ends.get(key)
        return -1 if end is None else int((end - trio.current_time()) * 1000)

    # Strings

    def get(self, key: bytes) -> bytes | None:
        found: bytes | None = self._get(key, bytes)
        return found

    def set(self, key: bytes, text: bytes, px: bytes = b"", milliseconds: bytes = b"") -> Status:
        self.delete(key)
        self.keys[key] = text
        if px:
            self.pexpire(key, milliseconds)
        return Status(b"OK")

    # Hashes

    def hget(self, key: bytes, name: bytes) -> bytes | None:
        return self._hash(key).get(name)

    def hmget(self, key: bytes, *names: bytes) -> list[bytes | None]:
        found = self._hash(key)
        return [found.get(name) for name in names]

    def hset(self, key: bytes, *fields: bytes) -> int:
        known = self._make(key, dict)
        before = len(known)
        known.update(zip(fields[::2], fields[1::2], strict=True))
        return len(known) - before

    def hdel(self, key: bytes, *names: bytes) -> int:
        known = self._hash(key)
        found = [name for name in names if known.pop(name, None) is not None]
        if found and not known:
            self.delete(key)
        return len(found)

    # Lists

    def llen(self, key: bytes) -> int:
        return len(self._list(key))

    def lindex(self, key: bytes, place: bytes) -> bytes | None:
        found = self._list(key)
        try:
            return found[int(place)]
        except IndexError:
            return None

    def lrange(self, key: bytes, first: bytes, last: bytes) -> list[bytes]:
        found = self._list(key)
        return found[slice(*_range(len(found), int(first), int(last)))]

    def ltrim(self, key: bytes, first: bytes, last: bytes) -> Status:
        found = self._list(key)
        found[:] = found[slice(*_range(len(found), int(first), int(last)))]
        if not found:
            self.delete(key)
        return Status(b"OK")

    def lset(self, key: bytes, place: bytes, entry: bytes) -> Status:
        self._list(key)[int(place)] = entry
        return Status(b"OK")

    def linsert(self, key: bytes, where: bytes, pivot: bytes, entry: bytes) -> int:
        assert where == b"BEFORE"
        found = self._list(key)
        found.insert(found.index(pivot), entry)
        return len(found)

    def rpush(self, key: bytes, *entries: bytes) -> int:
        found: list[bytes] = self._make(key, list)
        found += entries
        return len(found)

    # Streams

    def xadd(self, key: bytes, *arguments: bytes) -> bytes:
        most = None
        if arguments[0] == b"MAXLEN":
            assert arguments[1] == b"~"
            most, arguments = int(arguments[2]), arguments[3:]
        assert arguments[0] == b"*"
        stream: Stream = self._make(key, Stream)
        milliseconds = int((START + trio.current_time()) * 1000)
        stream.last = max((milliseconds, 0), (stream.last[0], stream.last[1] + 1))
        stream.names.append(stream.last)
        stream.entries.append([*arguments[1:]])
        if most is not None and len(stream.names) >= most + NODE_SIZE:
            del stream.names[:-most], stream.entries[:-most]
        return _name(stream.last)

    def xrevrange(self, key: bytes, *arguments: bytes) -> list[Any]:
        assert arguments == (b"+", b"-", b"COUNT", b"1")
        stream = self._get(key, Stream)
        if not stream or not stream.names:
            return []
        return [[_name(stream.names[-1]), stream.entries[-1]]]

    def read_stream(self, key: bytes, after: bytes, count: int) -> list[Any]:
        stream = self._get(key, Stream)
        first, _, second = after.partition(b"-")
        return [] if stream is None else stream.after((int(first), int(second or 0)), count)


def _name(name: tuple[int, int]) -> bytes:
    return b"%d-%d" % name


def _range(length: int, first: int, last: int) -> tuple[int, int]:
    first = max(0, first + length if first < 0 else first)
    return first, (last + length if last < 0 else last) + 1


WRITING: dict[bytes, Callable[..., Any]] = {
    b"DEL": Keyspace.delete,
    b"EXPIRE": Keyspace.expire,
    b"HDEL": Keyspace.hdel,
    b"HSET": Keyspace.hset,
    b"LINSERT": Keyspace.linsert,
    b"LSET": Keyspace.lset,
    b"LTRIM": Keyspace.ltrim,
    b"PEXPIRE": Keyspace.pexpire,
    b"RENAME": Keyspace.rename,
    b"RPUSH": Keyspace.rpush,
    b"SET": Keyspace.set,
    b"XADD": Keyspace.xadd,
}
READING: dict[bytes, Callable[..., Any]] = {
    b"EXISTS": Keyspace.exists,
    b"GET": Keyspace.get,
    b"HGET": Keyspace.hget,
    b"HMGET": Keyspace.hmget,
    b"LINDEX": Keyspace.lindex,
    b"LLEN": Keyspace.llen,
    b"LRANGE": Keyspace.lrange,
    b"PTTL": Keyspace.pttl,
    b"TYPE": Keyspace.type,
    b"XREVRANGE": Keyspace.xrevrange,
}
COMMANDS = WRITING | READING


def refuse_write() -> NoReturn:
    raise ReplyError("READONLY You can't write against a read only replica.")
