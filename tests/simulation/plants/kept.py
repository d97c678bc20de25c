"""What may be wrong with what is kept, here and in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from smarttrade.market.window import WINDOW_SIZE, Window
from smarttrade.store.database import (
    Batch,
    DatabaseUnavailable,
    Fenced,
    Late,
    Lost,
    Written,
)
from smarttrade.store.journal.actor import _Writer
from smarttrade.store.journal.reconciler import Reconciler
from smarttrade.store.relay import _Reconnects, _Relay
from tests.fakes.database import VirtualDatabase

from ..redis import RedisLink


@contextmanager
def cap_off_by_one() -> Iterator[None]:
    with patch.object(Window.__init__, "__defaults__", (WINDOW_SIZE + 1,)):
        yield


@contextmanager
def no_fencing() -> Iterator[None]:
    """As if the script in Redis did not compare who leads."""
    write = VirtualDatabase.write

    async def as_the_leader(
        self: VirtualDatabase, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        c = self.server.contents
        if c.leader is not None and (c.leader, c.epoch) != (leader, epoch):
            batch = replace(batch, number=c.batch + 1, written=c.batch)
            return await write(self, c.leader, c.epoch, lease, batch)
        return await write(self, leader, epoch, lease, batch)

    with patch.object(VirtualDatabase, "write", as_the_leader):
        yield


@contextmanager
def backlog_forgotten() -> Iterator[None]:
    refused = _Writer.note_failure

    async def nothing(_: Reconciler) -> None:
        pass

    def and_forget(self: _Writer, error: DatabaseUnavailable) -> None:
        refused(self, error)
        for waiting in (self._backlog._candles, self._backlog._whole):
            waiting.clear()

    with (
        patch.object(_Writer, "note_failure", and_forget),
        # It would find out what differs, and write it.
        patch.object(Reconciler, "verify_some", nothing),
    ):
        yield


@contextmanager
def demoted_primary_kept() -> Iterator[None]:
    """Connections that lead to a demoted primary are used again."""
    with patch.object(RedisLink, "reconnect", lambda _: None):
        yield


@contextmanager
def silent_server_kept() -> Iterator[None]:
    """A gateway stays with a server that answers, however long nothing is written to it."""
    with patch.object(_Reconnects, "connect_if_due", lambda *_: None):
        yield


@contextmanager
def relay_is_blind() -> Iterator[None]:
    """It takes all entries, and never checks whether the stream is still the same."""

    async def follow(self: _Relay) -> None:
        while True:
            entries = await self._database.follow(self._after, 0.5)
            for name, entry in entries:
                self._after, self._seq = name, entry.seq
            if entries:
                await self._take([entry for _, entry in entries])

    with patch.object(_Relay, "follow", follow):
        yield
