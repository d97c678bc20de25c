"""A server: what it answers to each command, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from .keyspace import COMMANDS, WRITING, Keyspace, ReplyError, Status, refuse_write

if TYPE_CHECKING:
    from .site import Group, Site

OK = Status(b"OK")
TABLE = {b"CLIENT", b"SELECT", b"PING"}
"""Commands that are answered whatever state a server is in."""
DESCRIBED: list[Any] = [
    [b"get", 2, [Status(b"readonly")], 1, 1, 1],
    [b"hget", 3, [Status(b"readonly")], 1, 1, 1],
    [b"xread", -4, [Status(b"readonly"), Status(b"movablekeys")], 0, 0, 0],
]
"""What COMMAND says of those that are sent outside of scripts: where their keys are."""


class Address(NamedTuple):
    host: str
    port: int


class Session:
    """One connection, as its server sees it."""

    def __init__(self, server: Server) -> None:
        self.generation = server.generation
        self.is_asking = False


class Server:
    """At any time a primary, or the replica of another."""

    def __init__(self, site: Site, address: Address) -> None:
        self.site = site
        self.address = address
        self.group: Group
        self.follows: Server | None = None
        """The one that it replicates."""
        self.is_running = True
        self.is_frozen = False
        self.isolated_since: float | None = None
        """Since when it has been cut off from all other servers, but not from clients."""
        self.refusal: str | None = None
        self.delay = 0.0
        self.lose_answers = 0
        self.generation = 0
        """How often it has been started: connections do not survive that."""
        self.changed = trio.Event()
        self._own = Keyspace()
        self._scripts: set[bytes] = set()
        self._late: list[Sequence[bytes]] = []

    @property
    def keyspace(self) -> Keyspace:
        """What it holds; replication takes no time until a fail-over shows that it does."""
        return self._own if self.follows is None else self.follows.keyspace

    def hold(self, keyspace: Keyspace) -> None:
        """Be a primary with these contents."""
        self.follows, self._own = None, keyspace
        self.note_change()

    def follow(self, primary: Server) -> None:
        """Be a replica; what it held otherwise is lost."""
        self.follows, self.isolated_since = primary, None
        self.note_change()

    def note_change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def kill(self) -> None:
        self.is_running = False
        self.generation += 1
        self._scripts.clear()
        self.note_change()

    def start(self) -> None:
        self.is_running = True
        self.note_change()

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        """It does what it received meanwhile, even if the sender has given up."""
        self.is_frozen = False
        late, self._late = self._late, []
        for command in late:
            if command[0] in (b"EVALSHA", b"EVAL"):
                self._try(command)
        self.note_change()

    def receive_late(self, commands: Sequence[Sequence[bytes]]) -> None:
        """These are in its buffers, and no one waits for the answer."""
        if self.is_frozen:
            self._late += commands

    def _try(self, command: Sequence[bytes]) -> None:
        try:
            self._run_script(command, Session(self))
        except ReplyError as error:
            self.site.note(f"{self.address.port}: a late {command[0].decode()}: {error}")

    async def answer(self, command: Sequence[bytes], session: Session) -> Any:
        """The reply, or the `ReplyError` that is sent."""
        try:
            return await self._answer(command, session)
        except ReplyError as error:
            return error

    async def _answer(self, command: Sequence[bytes], session: Session) -> Any:
        name = command[0].upper()
        if name in TABLE:
            return OK
        if name == b"ASKING":
            session.is_asking = True
            return OK
        if name in (b"CLUSTER", b"COMMAND"):
            return self._describe(command)
        if name == b"XREAD":
            return await self._read_stream(command, session)
        if name in (b"EVALSHA", b"EVAL"):
            return self._run_script(command, session)
        if name not in COMMANDS:
            raise ReplyError(f"ERR unknown command '{name.decode()}'")
        self._check(command[1:] if name == b"DEL" else command[1:2], session)
        if name in WRITING and self.follows is not None:
            refuse_write()
        return self.keyspace.run(command)

    def _describe(self, command: Sequence[bytes]) -> Any:
        match [word.upper() for word in command]:
            case [b"COMMAND", b"GETKEYS", *_]:
                return [command[-2]]  # of XREAD with one stream
            case [b"COMMAND"]:
                return DESCRIBED
        return self.site.slots(self)

    def _check(self, keys: Sequence[bytes], session: Session) -> None:
        """Whether it answers for these keys. Raises: ReplyError."""
        is_asking, session.is_asking = session.is_asking, False
        if self.refusal is not None:
            raise ReplyError(self.refusal)
        self.site.check_keys(self, keys, is_asking=is_asking)

    def _run_script(self, command: Sequence[bytes], session: Session) -> Any:
        _, script, count, *rest = command
        keys, arguments = rest[: int(count)], rest[int(count) :]
        self._check(keys, session)
        scripts = self.site.scripts
        if command[0] == b"EVAL":
            script = scripts.compile(script)
            self._scripts.add(script)
        elif script not in self._scripts:
            raise ReplyError("NOSCRIPT No matching script. Please use EVAL.")
        reply = scripts.run(
            script, keys, arguments, self.keyspace, is_replica=self.follows is not None
        )
        if scripts.has_written:
            self.site.check_written(self, script, keys, arguments, reply)
            self.note_change()
        return reply

    async def _read_stream(self, command: Sequence[bytes], session: Session) -> Any:
        _, _, count, _, block, _, key, after = command
        deadline = trio.current_time() + int(block) / 1000
        role = self.follows
        while True:
            self._check([key], session)
            if self.follows is not role:
                raise ReplyError("UNBLOCKED force unblock from blocking operation")
            if entries := self.keyspace.read_stream(key, after, int(count)):
                return [[key, entries]]
            with trio.move_on_at(deadline) as scope:
                await (self.follows or self).changed.wait()
            if scope.cancelled_caught:
                return None
            if not self.is_running or self.generation != session.generation:
                raise ConnectionResetError("the server has ended")
