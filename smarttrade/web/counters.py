"""Everything that is counted in one process: what `/metrics` exports."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..feed.audit import AuditCounters
from ..feed.rest import RestClient
from ..feed.stream_context import StreamCounters
from ..session.hub_counters import HubCounters
from ..session.protocol import SessionCounters
from ..store.counters import StoreCounters
from ..telemetry.histogram import Histogram
from .server_limits import ServerCounters


@dataclass(slots=True)
class Counters:
    """What outlives every restart below."""

    stream: StreamCounters = field(default_factory=StreamCounters)
    audit: AuditCounters = field(default_factory=AuditCounters)
    store: StoreCounters = field(default_factory=StoreCounters)
    hub: HubCounters = field(default_factory=HubCounters)
    session: SessionCounters = field(default_factory=SessionCounters)
    server: ServerCounters = field(default_factory=ServerCounters)
    loop_delays: Histogram = field(default_factory=Histogram)
    """Seconds by which a sleeping task woke too late."""
    rest: RestClient | None = None
    """Reads from the exchange, and counts its requests; None where there is no feed."""
