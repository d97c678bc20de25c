"""Every metric's name and what it means, for its `# HELP`.

Names are without `smarttrade_` and `_total`. They are part of the product: dashboards and alerts
use them.
"""

from __future__ import annotations

from ...feed.audit import AuditCounters
from ...feed.stream_context import StreamCounters
from ...session.hub_counters import HubCounters
from ...session.outbox_counters import OutboxCounters
from ...session.protocol import SessionCounters
from ...store.counters import StoreCounters
from ..server_limits import ServerCounters

GROUPS: dict[type, str] = {
    StreamCounters: "stream",
    AuditCounters: "audit",
    StoreCounters: "store",
    HubCounters: "hub",
    OutboxCounters: "outbox",
    SessionCounters: "session",
    ServerCounters: "server",
}
"""What the names of a class's counters begin with, whatever the class is called."""

GAUGES = frozenset(
    {
        "info",
        "store_answers",
        "ready",
        "feed",
        "series",
        "series_not_ready",
        "series_age_seconds",
        "series_ready",
        "symbol_age_seconds",
        "gaps",
        "hub_subscribers",
        "hub_subscriptions",
        "server_open",
        "server_waiting_bytes",
        "server_cached_bytes",
        "exchange_weight_used",
        "exchange_weight_ceiling",
        "exchange_weight_others",
        "audit_round_seconds",
        "redis_role",
        "redis_waiting_candles",
        "redis_lag_seconds",
        "actor_running",
        "mailbox_depth",
        "mailbox_capacity",
        "process_start_time_seconds",
        "process_max_fds",
        "process_resident_bytes",
        "process_open_fds",
    }
)
"""Those that do not only grow."""

DESCRIPTIONS = {
    "info": "Always 1; its labels are the version and which exchange the candles are from.",
    "store_answers": "Whether the store answered this scrape in time.",
    "ready": "What /ready says.",
    "feed": "1 for the state that the exchange's stream is in.",
    "series": "How many there are.",
    "series_not_ready": "How many are not complete and up to date, of symbols that trade.",
    "symbol_age_seconds": (
        "Since the exchange last sent a symbol that trades: of the newest (quantile 0), the "
        "median, nine in ten, and the oldest (quantile 1)."
    ),
    "series_age_seconds": (
        "Since the exchange last sent the series; absent until it does, and with more series than "
        "SMARTTRADE_MAX_SERIES_METRICS."
    ),
    "series_ready": "Whether the series is complete and up to date; absent as the age is.",
    "gaps": "Ranges of candles missing inside the windows, by why.",
    "push_delay_seconds": (
        "From the exchange's event to its being posted to clients, one observation a candle. By "
        "two clocks: how far this machine's is from the exchange's is in it."
    ),
    "loop_delay_seconds": "By how much a sleeping task woke too late, twice a second.",
    # The feed
    "stream_updates": "Candles received from the exchange's stream.",
    "stream_malformed": "Messages of the stream that were not the exchange's.",
    "stream_connects": "Stream connections opened.",
    "stream_failures": "Stream connections that ended by themselves, or could not be opened.",
    "stream_rotations": "Stream connections replaced before they ended.",
    "stream_stalled": "Series that a connection did not deliver although they were traded.",
    "audit_round_seconds": "How long the audit takes to compare every series once.",
    "audit_compared": "Closed candles compared with the exchange's history.",
    "audit_differences": "Candles that differed twice in the same way, and were repaired.",
    "audit_turns": "Series compared.",
    "audit_skipped": "Series not compared when it was their turn.",
    "exchange_requests": "REST requests to the exchange.",
    "exchange_weight": "Request weight that we used.",
    "exchange_weight_used": "Weight of this address in the exchange's minute, as known last.",
    "exchange_weight_others": "Weight of other programs at this address, at least.",
    "exchange_weight_ceiling": "Weight a minute that we stay under.",
    "exchange_limited": "How often the exchange limited this address (429, 418).",
    # The store and its copy
    "store_published": "States of candles that were new, and published to clients and followers.",
    "store_corrected": "Those that lie in the past: gaps filled late, and repairs.",
    "store_missing": "Ranges of candles found missing and asked for.",
    "redis_role": "1 for what this process is to Redis.",
    "redis_lag_seconds": (
        "Of a process that writes: how long the oldest change has waited. Of one that follows: how "
        "long ago it heard of the writer, which says something every second."
    ),
    "redis_waiting_candles": "Changes that are not written yet.",
    "redis_batches": "Batches written.",
    "redis_written": "Candles written.",
    "redis_retries": "Batches written again because their outcome was unknown.",
    "redis_errors": "Calls that failed.",
    "redis_fenced": "Batches refused because another process led.",
    "redis_lost": "How often Redis no longer had what was written to it.",
    "redis_quarantined": "Lists that could not be read, and were quarantined.",
    "redis_comparisons": "How often all that is stored was read and compared.",
    "redis_entries": "Entries taken from the change stream.",
    "redis_followed": "Candles in them.",
    "redis_loads": "How often all windows were read.",
    "redis_reloads": "Single windows that were read again.",
    "redis_fell_behind": "How often entries were gone before they were read.",
    # Clients
    "hub_published": "States of candles that the hub received.",
    "hub_delivered": "Candle messages posted to clients.",
    "hub_subscribers": "Sessions that are open.",
    "hub_subscriptions": "Series that they are subscribed to, in all.",
    "server_open": "Client connections that are open.",
    "server_accepted": "Client connections accepted.",
    "server_refused_full": "Connections refused because there were too many.",
    "server_refused_per_ip": "Connections refused because their address had too many.",
    "server_failed": "Connections ended by an exception.",
    "server_flooded": "Sessions ended because they sent more than was read.",
    "server_refused_rate": "Requests and handshakes refused because their address sent too many.",
    "server_refused_token": "Requests and handshakes refused for want of a token.",
    "server_refused_origin": "Handshakes refused because of the page that they came from.",
    "server_slow_heads": "Connections closed because a request's head took too long.",
    "server_idle_closed": "Connections closed because nothing was asked of them.",
    "server_oversized_messages": "WebSocket messages over their limit.",
    "server_oversized_heads": "Request heads over their limit.",
    "server_oversized_bodies": "Request bodies over their limit.",
    "session_requests": "Requests of clients over the WebSocket.",
    "session_bad_requests": "Those that were answered with an error.",
    "session_refused_subscriptions": "Entries over the limit of subscriptions.",
    "session_closed_flooding": "Sessions closed for too many requests.",
    "session_closed_faulty": "Sessions closed for too many bad requests.",
    "session_closed_idle": "Sessions closed because they were subscribed to nothing.",
    "server_accept_paused": "How often no connection could be accepted, for want of descriptors.",
    "server_cut_off": "Connections still open when the time for a stop was up.",
    "outbox_messages": "WebSocket messages to clients, replaced ones included.",
    "outbox_bytes": "Bytes to clients, over HTTP too.",
    "outbox_conflated": "States of forming candles that a slow client never got.",
    "outbox_evicted": "Clients cut off because they took nothing for too long.",
    "outbox_overflowed": "Clients closed because too much waited for them.",
    "outbox_closed_for_memory": "Clients closed because too much waited for all of them.",
    "server_waiting_bytes": "Memory that holds what waits for clients, and what waits of theirs.",
    "server_cached_bytes": "Memory that holds encoded candles, pages and snapshots.",
    "server_flooding": "Connections closed for too many frames or small pieces.",
    "outbox_failed": "Connections found broken while writing.",
    # Actors and the process
    "actor_restarts": "Restarts of each actor and supervisor.",
    "actor_running": "Whether it runs, or has done what it was for.",
    "mailbox_depth": "Messages that wait for the actor.",
    "mailbox_capacity": "How many can.",
    "mailbox_handled": "Messages it has taken.",
    "process_start_time_seconds": "When the process began, in seconds since the epoch.",
    "process_cpu_seconds": "Processor time used.",
    "process_max_fds": "How many descriptors it may have open.",
    "process_resident_bytes": "Memory in use.",
    "process_open_fds": "Descriptors open.",
}
