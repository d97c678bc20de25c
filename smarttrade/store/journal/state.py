"""What the journal has to remember over a restart of its actor."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable

from ...market.series import Series
from ..backlog import Backlog
from ..database import Database
from ..memory import MemoryStore
from ..redis_report import JournalReport
from ..shard_view import ShardView
from ..stored_symbols import StoredSymbols


def leader_name() -> str:
    """A name for this process that no other has had; operators see it in the lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Journal:
    """What the journal has to remember over a restart of its actor."""

    def __init__(
        self,
        memory: MemoryStore,
        database: Database,
        *,
        lease: float,
        wall_clock: Callable[[], float] = time.time,
        stored_symbols: StoredSymbols | None = None,
    ) -> None:
        self.name = leader_name()
        self.memory = ShardView(memory, database.shard)
        self.database = database
        self.backlog = Backlog(self.memory)
        self.lease = lease
        self.wall_clock = wall_clock
        self.report = JournalReport(wall_clock, lambda: len(self.backlog), lambda: self.backlog.age)
        self.was_accepted = False
        """Whether what is stored was once found to be for us, or nothing was there."""
        self.epoch = 0
        self.number = 0
        """Of the last batch sent, whatever became of it."""
        self.written = 0
        """Of the last batch known to be written in this epoch."""
        self.is_equal = False
        """Whether what is stored plus the backlog is what memory holds."""
        self.lengths: dict[Series, int] = {}
        """How long the lists are, where that is known."""
        self.state_digest = ""
        """SHA-1 of the state that is stored, where that is known."""
        self.was_loaded = False
        """Whether the store has been offered what was stored before we began."""
        self.stored_symbols = stored_symbols or StoredSymbols()
