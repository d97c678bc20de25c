"""What the front end is given by the wiring."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from actors import ActorInfo, Mailbox

from .. import __version__
from ..session.protocol import SessionLimits
from ..session.wire import CandleTexts
from ..store.messages import StoreMessage


def _random_name() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Services:
    """The rest of the program, as the front end sees it."""

    store: Mailbox[StoreMessage]
    texts: CandleTexts
    inspect: Callable[[], ActorInfo]
    """The supervision tree now."""
    draining: trio.Event
    """Set when the server stops: no new sessions, and those there are say goodbye."""
    heartbeat: float
    """Seconds between two heartbeats."""
    session_limits: SessionLimits = field(default_factory=SessionLimits)
    cors_origins: Sequence[str] = ("*",)
    """Who may read the answers in a browser; `*` is anybody."""
    server: str = f"smarttrade/{__version__}"
    new_session_name: Callable[[], str] = _random_name
