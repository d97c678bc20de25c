"""The servers of one deployment of Redis: a Cluster of three primaries, or one behind Sentinels.

Each primary has a replica. What they agree about is known to all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import trio
from redis.crc import key_slot

from smarttrade.store.redis_script import Script

from .keyspace import Keyspace, ReplyError
from .scripts import Scripts
from .server import Address, Server
from .written import WrittenCheck

SLOTS = 16384
NODE_TIMEOUT = 1.0
"""Seconds after which a server of a Cluster that reaches no other answers nothing any more."""
SENTINELS = [Address("127.0.0.1", 26379 + n) for n in range(3)]
PRIMARY = "candles"
"""The name that Sentinels have for it."""

_WRITE = Script("write").digest.encode()


class Group:
    """A primary and its replica."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.primary, self.replica = servers
        self.named = self.primary
        """The one that Sentinels call the primary."""
        self.is_changing = False
        self.replica.follow(self.primary)
        for each in servers:
            each.group = self

    @contextmanager
    def changing(self) -> Iterator[bool]:
        """One thing happens to it at a time: whether this may."""
        may, self.is_changing = not self.is_changing, True
        try:
            yield may
        finally:
            if may:
                self.is_changing = False

    def promote(self, keyspace: Keyspace) -> None:
        """The replica takes over with what it has received, and the old one will follow it."""
        self.primary, self.replica = self.replica, self.primary
        self.primary.hold(keyspace)

    def rejoin(self) -> None:
        """Both run, and the replica follows."""
        for each in self.servers:
            each.start()
        self.replica.follow(self.primary)
        self.named = self.primary


class Site:
    def __init__(self, groups: int, note: Callable[[str], None]) -> None:
        self.note = note
        self.scripts = Scripts()
        self.needs_all_slots = False
        """Whether a Cluster with a slot that no one serves serves none."""
        ports = iter(range(7000, 7000 + 2 * groups))
        self.groups = [
            Group([Server(self, Address("127.0.0.1", next(ports))) for _ in range(2)])
            for _ in range(groups)
        ]
        self.is_cluster = groups > 1
        self.servers = [each for group in self.groups for each in group.servers]
        self.written = WrittenCheck()
        self._by_address = {each.address: each for each in self.servers}
        self._moved: dict[int, Group] = {}
        self._moving: dict[int, tuple[Group, Group]] = {}

    @property
    def url(self) -> str:
        if self.is_cluster:
            nodes = [group.servers[0].address for group in self.groups]
            return f"redis+cluster://{_hosts(nodes)}"
        return f"redis+sentinel://{_hosts(SENTINELS)}/{PRIMARY}/0"

    def server_at(self, host: str, port: int) -> Server | None:
        return self._by_address.get(Address(host, port))

    def group_of(self, key: str) -> Group:
        return self._owner(key_slot(key.encode()))

    def _owner(self, slot: int) -> Group:
        return self._moved.get(slot) or self.groups[slot * len(self.groups) // SLOTS]

    def _first_slot(self, number: int) -> int:
        """Of the group of that number, before any slot is moved."""
        return -(-SLOTS * number // len(self.groups))

    # What servers say of each other

    def slots(self, server: Server) -> list[object]:
        """CLUSTER SLOTS."""
        ends = {0, SLOTS, *map(self._first_slot, range(len(self.groups)))}
        ends |= {each + n for each in self._moved for n in (0, 1)}
        bounds = sorted(ends)
        found: list[object] = []
        for first, end in pairwise(bounds):
            group = self._owner(first)
            is_cut_off = server.isolated_since is not None and server.group is group
            primary = server if is_cut_off else group.primary
            nodes = [primary, *(each for each in group.servers if each is not primary)]
            running = [each for each in nodes if each is primary or each.is_running]
            found.append([first, end - 1, *(_node(each) for each in running)])
        return found

    def masters(self) -> list[object]:
        """SENTINEL MASTERS."""
        named = self.groups[0].named
        flags = "master" if named.is_running else "master,s_down,o_down"
        fields = {
            "name": PRIMARY,
            "ip": named.address.host,
            "port": str(named.address.port),
            "flags": flags,
            "num-slaves": "1",
            "num-other-sentinels": "2",
            "quorum": "2",
        }
        return [[text.encode() for pair in fields.items() for text in pair]]

    def check_keys(self, server: Server, keys: Sequence[bytes], *, is_asking: bool) -> None:
        """Whether a server answers for these keys. Raises: ReplyError."""
        if not self.is_cluster:
            return
        if (since := server.isolated_since) is not None:
            if trio.current_time() > since + NODE_TIMEOUT:
                raise ReplyError("CLUSTERDOWN The cluster is down")
            return
        if self.needs_all_slots and not all(group.primary.is_running for group in self.groups):
            raise ReplyError("CLUSTERDOWN The cluster is down")
        slots = {key_slot(key) for key in keys}
        if len(slots) > 1:
            raise ReplyError("CROSSSLOT Keys in request don't hash to the same slot")
        slot = slots.pop()
        self._check_slot(server, slot, keys, is_asking=is_asking)

    def _check_slot(
        self, server: Server, slot: int, keys: Sequence[bytes], *, is_asking: bool
    ) -> None:
        owner, group = self._owner(slot), server.group
        source, target = self._moving.get(slot, (None, None))
        is_missing = any(not server.keyspace.has(key) for key in keys)
        if server is group.primary and is_asking and target is group:
            if is_missing and len(keys) > 1:
                raise ReplyError("TRYAGAIN Multiple keys request during rehashing of slot")
            return
        if server is not owner.primary:
            raise ReplyError(f"MOVED {slot} {_hosts([owner.primary.address])}")
        if source is group and target is not None and is_missing:
            raise ReplyError(f"ASK {slot} {_hosts([target.primary.address])}")

    # What happens to them

    @contextmanager
    def moving(self, slot: int, target: Group) -> Iterator[Callable[[int], None]]:
        """Within it a slot is on its way; what it gives moves so many more keys."""
        source = self._owner(slot)
        self._moving[slot] = source, target

        def move(count: int) -> None:
            held, to = source.primary.keyspace, target.primary.keyspace
            names = sorted(key for key in held.keys if key_slot(key) == slot)
            for key in names[:count]:
                held.move(key, to)
            for each in (source.primary, target.primary):
                each.note_change()

        try:
            yield move
        finally:
            move(1_000_000)
            del self._moving[slot]
            self._moved[slot] = target
            self.note(f"slot {slot} is at {target.primary.address.port}")

    def heal(self) -> None:
        self.needs_all_slots = False
        for server in self.servers:
            server.refusal, server.delay, server.lose_answers = None, 0.0, 0
            if server.is_frozen:
                server.thaw()
        for group in self.groups:
            group.rejoin()

    def check_written(
        self,
        server: Server,
        script: bytes,
        keys: Sequence[bytes],
        arguments: Sequence[bytes],
        reply: object,
    ) -> None:
        if script == _WRITE and isinstance(reply, list) and reply[0] == b"OK":
            self.written.check(server.keyspace, keys, arguments)


def _hosts(addresses: Sequence[Address]) -> str:
    return ",".join(f"{host}:{port}" for host, port in addresses)


def _node(server: Server) -> list[object]:
    host, port = server.address
    return [host.encode(), port, b"%040d" % port]
