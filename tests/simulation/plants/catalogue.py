"""The planted faults: what is broken, in which world it is looked for, and by when it is found."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..plan import Plan, plan_for
from ..run import Outcome, run
from . import feed, history, hostile, kept, servers, sessions, shards, streams, symbols, takeover

HOURS = 0.2


@dataclass(frozen=True)
class Plant:
    name: str
    breaks: Callable[[], AbstractContextManager[object]]
    within: int
    """Seeds in which it must be found."""
    shape: str = "one"
    kinds: tuple[str, ...] = ()
    """Of faults, one a minute; none: what the seed draws."""
    is_for_good: bool = False
    """Whether one part is broken for good instead, of one of those kinds."""

    def plan(self, seed: int) -> Plan:
        return plan_for(seed, HOURS, named=self.shape, kinds=self.kinds, liveness=self.is_for_good)


PLANTS = (
    Plant("gaps are not filled after a reconnect", feed.no_gap_fill, 10, "two"),
    Plant(
        "a silent connection is never suspected", feed.no_watchdog, 5, "no rotation", ("half_open",)
    ),
    Plant("a staler REST row wins", feed.staler_row_wins, 10, "two", ("rest_lag", "cut")),
    Plant(
        "a second connection's close is sent again",
        feed.closes_twice,
        5,
        "two",
        ("duplicate", "expire"),
    ),
    Plant("429 is ignored", feed.busy_ignored, 10, "two", ("rest_status",)),
    Plant("a firewall is asked on", feed.firewall_ignored, 5, "two", ("firewall", "cut")),
    Plant(
        "connections stay with a demoted primary",
        kept.demoted_primary_kept,
        3,
        "deployment",
        ("redis_fails_over",),
    ),
    Plant(
        "a gateway stays with a server that is not written any more",
        kept.silent_server_kept,
        10,
        "deployment",
        ("redis_fails_over",),
    ),
    Plant("the audit does nothing", feed.no_audit, 5, "one", ("alter",)),
    Plant("the wall clock decides what is final", feed.wall_clock, 5, "one", ("clock_jump", "cut")),
    Plant("the cap is off by one", kept.cap_off_by_one, 2),
    Plant("fencing is lost", kept.no_fencing, 5, "deployment", ("redis_write_overtaken",)),
    Plant(
        "what waits while Redis is away is forgotten",
        kept.backlog_forgotten,
        5,
        "gateway",
        ("redis_frozen",),
    ),
    Plant(
        "a gateway does not look for what it missed",
        kept.relay_is_blind,
        5,
        "deployment",
        ("redis_restored", "redis_emptied"),
    ),
    Plant("the snapshot is older than the subscription", sessions.snapshot_first, 10),
    Plant("conflation drops a close", sessions.close_dropped, 10),
    Plant("`since` leaves out the candle itself", sessions.since_is_exclusive, 10),
    Plant("unsubscribing does nothing", sessions.unsubscribe_ignored, 20),
    Plant(
        "a question hangs when its actor crashes",
        sessions.ask_hangs,
        20,
        "one",
        ("crash_on_message",),
    ),
    Plant(
        "the hub restarts without its sessions",
        sessions.hub_restarts_alone,
        10,
        "one",
        ("crash", "crash_on_message"),
    ),
    Plant("a reconnecting client gets no updates", sessions.since_is_not_attached, 10),
    Plant(
        "a takeover undoes a close", takeover.close_undone, 10, "deployment", ("peer_late", "kill")
    ),
    Plant(
        "a standby's shorter list replaces what is stored",
        takeover.shorter_list_wins,
        10,
        "deployment",
        ("peer_late", "kill"),
    ),
    Plant(
        "a series is dropped while another ingest leads",
        takeover.series_dropped,
        10,
        "uneven",
        ("kill",),
    ),
    Plant(
        "stored numbers have no bounds",
        hostile.numbers_without_bounds,
        5,
        "deployment",
        ("redis_damaged_entry",),
    ),
    Plant(
        "stored candles of the future are believed",
        hostile.future_believed,
        10,
        "deployment",
        ("redis_damaged_entry", "redis_damaged_list"),
    ),
    Plant(
        "a kline that opens after its event is believed",
        streams.impossible_times,
        5,
        "two",
        ("impossible",),
    ),
    Plant(
        "a row is final because a later one is listed",
        history.settling_ignored,
        5,
        "two",
        ("stale_rows", "cut"),
    ),
    Plant(
        "a snapshot goes on after a candle that is not final",
        history.unsettled_inside,
        5,
        "two",
        ("missing_close",),
    ),
    Plant(
        "a failing series keeps its worker",
        history.worker_retries,
        3,
        "many",
        ("symbols_failing",),
        is_for_good=True,
    ),
    Plant(
        "an unlisted minute is asked for until it is listed",
        history.unlisted_is_asked_again,
        10,
        "two",
        ("roll_back", "half_open"),
    ),
    Plant(
        "a symbol that is halted at the start stays unknown",
        symbols.listed_once,
        5,
        "two",
        ("halt_one", "kill"),
    ),
    Plant(
        "a refused symbol makes the service unready",
        symbols.refusal_is_not_excused,
        3,
        "two",
        ("symbol_unknown",),
        is_for_good=True,
    ),
    Plant(
        "a silent connection is kept while REST fails",
        streams.silence_needs_proof,
        3,
        "two",
        ("streams_silent",),
        is_for_good=True,
    ),
    Plant(
        "a SUBSCRIBE that is too long is not noticed",
        streams.subscriptions_unconfirmed,
        3,
        "many",
    ),
    Plant(
        "a gateway stops while one shard is silent",
        shards.silence_stops_all,
        10,
        "sharded",
        ("shard_silent",),
    ),
    Plant(
        "the silence of one shard is not reported",
        shards.silence_hidden,
        10,
        "sharded",
        ("shard_silent",),
    ),
    Plant("the catalogue of one shard is taken for all", shards.one_catalogue, 10, "sharded"),
    Plant(
        "a shard that is not written at the start is given up",
        shards.absent_shard_given_up,
        10,
        "sharded",
        ("shard_late",),
    ),
    Plant(
        "an answer of Redis is awaited for good",
        servers.answers_awaited_for_good,
        5,
        "sentinel",
        ("replies_lost",),
    ),
    Plant(
        "a Cluster that no process reaches is a failure",
        servers.cluster_errors_escape,
        5,
        "cluster",
        ("cut_off",),
    ),
    Plant(
        "the leader does not rewrite what a promoted replica lost",
        servers.lost_writes_forgotten,
        10,
        "cluster",
        ("primary_killed", "primary_isolated"),
    ),
    Plant(
        "a gateway stops while one primary is down",
        shards.silence_stops_all,
        10,
        "cluster",
        ("slots_unserved", "primary_frozen"),
    ),
)


def passes_without(plant: Plant, seed: int) -> bool:
    """Whether the product is not at fault for what was found."""
    return run(plant.plan(seed)).is_good


def find(plant: Plant, report: Callable[[str], None] = lambda _: None) -> Outcome | None:
    """The first failing run within the plant's seeds."""
    for seed in range(1, plant.within + 1):
        outcome = run(plant.plan(seed), plant.breaks())
        if not outcome.is_good:
            report(f"{plant.name}: seed {seed} of {plant.within}: {outcome.reason[:160]}")
            return outcome
    report(f"{plant.name}: NOT FOUND in {plant.within} seeds")
    return None
