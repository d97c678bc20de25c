"""What all connections share, and how one of them refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio
from hypercorn.config import Config
from hypercorn.events import Event
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper

from ...session.budget import Turns
from ..access import Access, AccessPolicy
from ..cors import Cors
from ..fast_path import FastPath
from ..server_limits import ServerCounters, ServerLimits
from .networks import Networks

READ_SIZE = 16 * 1024  # bytes; so a head is never much over its limit before it is refused

# What is read from a client after our last byte, only so that it is sent no reset: as much as a
# client may have sent before it looks at our answer, and seldom, as it costs its sender nothing.
MAX_DISCARDED = 1024 * 1024  # bytes
DISCARD_SIZE = 64 * 1024  # bytes at a time
DISCARD_INTERVAL = 0.05  # seconds between two reads

CLOSED_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError)


class RefusedError(Exception):
    """The client asked for what the edge does not allow; it gets that answer and no more."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}


class FloodedError(Exception):
    """The application took nothing of what its client sends for too long."""


class Closing(Event):
    """The application has closed its WebSocket; the client may take a moment to agree."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What all connections share."""

    app: AppWrapper
    config: Config
    context: WorkerContext
    limits: ServerLimits
    counters: ServerCounters
    fast_path: FastPath | None
    """Answers some requests without the application; see web/fast_path.py."""
    policy: AccessPolicy
    cors: Cors
    """For what is refused here."""
    networks: Networks
    admissions: Turns = field(default_factory=Turns)
    """A request begins in each turn of the loop: when a thousand arrive at once, those connected
    already wait for one of them, not for all."""
    turns: Turns = field(default_factory=Turns)
    """For connections that send much at once."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The two ends of a connection, as the application sees them; None without IP."""

    client: tuple[str, int] | None
    server: tuple[str, int] | None
    secure: bool


def edge_for(
    app: AppWrapper,
    limits: ServerLimits,
    counters: ServerCounters,
    fast_path: FastPath | None = None,
    access: Access | None = None,
) -> Edge:
    config = Config()
    config.errorlog = None  # ours are logged where they are caught
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_size
    config.websocket_max_message_size = limits.message_size
    config.max_app_queue_size = limits.app_queue
    access = access or Access()
    cors = Cors(access.cors_origins)
    context = WorkerContext(None)
    policy = AccessPolicy(access)
    networks = Networks(limits.max_waiting_bytes, limits.max_waiting_bytes_per_address)
    return Edge(app, config, context, limits, counters, fast_path, policy, cors, networks)


async def discard(
    stream: trio.abc.ReceiveStream,
    take_turn: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
) -> None:
    """Read what still comes until the client ends or sent too much.

    A socket that is closed with input unread is reset, and a reset may overtake the last bytes.
    """
    size = 0
    while size < MAX_DISCARDED and (data := await stream.receive_some(DISCARD_SIZE)):
        size += len(data)
        await trio.sleep(DISCARD_INTERVAL)
        await take_turn()
