"""What the front end is given by the wiring."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from actors import ActorInfo, Mailbox

from .. import __version__
from ..market.origin import SIMULATED
from ..market.series import Series
from ..session.candle_texts import CandleTexts
from ..session.draining import Draining
from ..session.session_limits import SessionLimits
from ..store.messages import StoreMessage
from .counters import Counters
from .status import process_reasons


def _random_name() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Services:
    """The rest of the program, as the front end sees it."""

    store: Mailbox[StoreMessage]
    texts: CandleTexts
    inspect: Callable[[], ActorInfo]
    """The supervision tree now."""
    draining: Draining
    """Set when the server stops: no new sessions, and the existing ones close."""
    heartbeat: float
    """Seconds between two heartbeats."""
    session_limits: SessionLimits = field(default_factory=SessionLimits)
    cors_origins: Sequence[str] = ("*",)
    """Who may read the answers in a browser; `*` is any origin."""
    describe_store: Callable[[], Mapping[str, Any]] = lambda: {"kind": "memory"}
    """Where candles are kept now, and how that goes."""
    describe_hosts: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """The exchange's hosts and how each is now; none in a process without a feed."""
    has_clients: bool = True
    """False: only what operators ask is answered."""
    revision_of: Callable[[Series], int | None] = lambda _: None
    """Grows with each change of a series; None when there is none, or when it is not known.

    Read without asking the store, to know whether its last answer still holds.
    """
    counters: Counters = field(default_factory=Counters)
    """For `/metrics`."""
    max_series_metrics: int = 1000
    """With more series, `/metrics` has none of each."""
    wall_clock: Callable[[], float] = time.time
    """In seconds since the epoch."""
    origin: Callable[[], str | None] = lambda: None
    """Which exchange the candles come from, see `market/origin.py`; None while that is unknown."""
    shards: int = 1
    """Of the deployment; not mentioned if there is only one."""
    stopping: trio.Event = field(default_factory=trio.Event)
    """Set before the server drains: it is not ready any more, but still accepts clients."""
    server: str = f"smarttrade/{__version__}"
    new_session_name: Callable[[], str] = _random_name

    @property
    def is_stopping(self) -> bool:
        """Whether load balancers should send clients elsewhere."""
        return self.stopping.is_set() or self.draining.is_set()

    @property
    def not_ready_reasons(self) -> Sequence[str]:
        """Why the process is not ready, whatever candles it has."""
        store = self.describe_store()
        return process_reasons(stopping=self.is_stopping, has_clients=self.has_clients, store=store)

    @property
    def is_simulated(self) -> bool:
        """Whether the prices are invented."""
        return self.origin() == SIMULATED
