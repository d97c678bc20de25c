"""What a seed means: the shape of the world, and everything that is to happen to it.

A plan is a value. Each action has a seed of its own, so that leaving one out changes nothing of
the others: that is how a failing run is shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Any

from smarttrade.role import Role
from smarttrade.simulator import RANDOM_FAULTS
from tests.fakes.unhandled import UNHANDLED

from .shapes import Shape, shape_of

KILLED_AFTER_TURN = 0.5
"""Share of kills that wait for the turn of a minute, when closes are under way."""

FAULT_FREE = 0.1  # share of plans in which nothing happens but clients that come and go


@dataclass(frozen=True)
class Action:
    at: float
    """Seconds after the world is ready."""
    kind: str
    arguments: Mapping[str, Any]
    seconds: float
    """How long it lasts; 0 for what happens at once."""
    seed: int

    def __str__(self) -> str:
        words = " ".join(f"{key}={value}" for key, value in sorted(self.arguments.items()))
        lasting = f" for {self.seconds:.1f} s" if 0 < self.seconds < inf else ""
        return f"{self.at:9.1f} {self.kind} {words}{lasting}"


@dataclass(frozen=True)
class Plan:
    seed: int
    shape: Shape
    seconds: float
    actions: tuple[Action, ...]
    first_start: float = 0.0
    """Seconds after the exchange's until the first process: any second of a minute."""
    is_liveness: bool = False

    @property
    def healthy(self) -> tuple[str, ...]:
        """Symbols that no fault concerns, but cuts, where all others concern single symbols or shards."""
        kinds = {action.kind for action in self.actions} - {"client"}
        if kinds <= {*SYMBOL, "cut"}:
            return self.shape.symbols[len(self.shape.afflicted) :]
        return self.shape.spared if kinds <= {*SHARD, *WIRE} else ()

    def only(self, actions: tuple[Action, ...]) -> Plan:
        return replace(self, actions=actions)


CROWD = ("churn", "flood", "stall", "trickle", "vanish", "legacy", "poll", "herd", "visit")
"""What a client that is here for a while does; see clients.py."""

REDIS = ("redis_frozen", "redis_refusing", "redis_slow", "redis_emptied", "redis_restored",
         "redis_answers_lost", "redis_write_overtaken", "redis_fails_over",
         "redis_damaged_list", "redis_damaged_entry")  # fmt: skip
SYMBOL = ("failing", "unknown", "halt_one", "roll_back", "stall_one")
"""What concerns one symbol alone: nothing else may notice."""
SHARD = ("shard_silent", "shard_late", "shard_slow", "shard_frozen", "shard_lags", "shard_symbols",
         "lease_lost")  # fmt: skip
"""What concerns one shard alone: clients of the others' symbols must not notice."""
WIRE = ("primary_killed", "primary_isolated", "primary_demoted", "primary_frozen",
        "primary_refusing", "primary_slow", "slots_unserved", "replies_lost")  # fmt: skip
"""What happens to one primary and its replica, where redis-py is part of the world."""
CLUSTER = ("slot_moved", "cluster_down")
PEER = ("peer_late", "peer_stall")
"""What one process alone sees of the exchange."""
PROCESS = ("crash", "crash_on_message", "kill", "stop", "cut_off", "clock_jump", "connections_lost")

EXCHANGE = {*RANDOM_FAULTS, *SYMBOL, *PEER, "hosts", "hole"}
FEED = tuple(sorted(EXCHANGE - UNHANDLED))
FOR_GOOD = ("endpoint_dead", "clients_dead", "symbol_silent", "symbol_failing", "symbols_failing",
            "symbol_unknown", "symbol_halted", "streams_silent", "redis_gone", "gateway_alone",
            "ingest_dead", "shard_dead")  # fmt: skip
"""What stays broken in the liveness mode."""
KINDS = (*sorted(EXCHANGE), *REDIS, *SHARD, *WIRE, *CLUSTER, *PROCESS, *FOR_GOOD)
"""Of faults; to be asked for by name."""


def plan_for(
    seed: int,
    hours: float = 0.5,
    *,
    liveness: bool = False,
    named: str | None = None,
    kinds: Sequence[str] = (),
) -> Plan:
    """The plan of a seed; of the same seed, hours and so on it is always the same.

    `named` is a world of `NAMED` or `DRAWN` instead of the seed's own; with `kinds` there are faults of these
    kinds alone, one a minute, or one of them for good with `liveness`.
    """
    rng = Random(f"plan {seed}")
    shape = shape_of(seed, rng, named)
    seconds = hours * 3600
    if kinds and not liveness:
        actions = _crowd(rng, seconds, per_minute=0.5)
        actions += [
            _of_kind(rng, at, rng.choice(kinds), shape, seconds)
            for at in _times(rng, seconds, per_minute=1.0)
        ]
    elif not liveness:
        actions = _draw(rng, shape, seconds)
    else:
        actions = [_broken_for_good(rng, shape, kinds)]
        actions += _crowd(rng, seconds, per_minute=0.3)
    actions.sort(key=lambda one: one.at)
    first_start = Random(f"start {seed}").uniform(0, 60)
    return Plan(seed, shape, seconds, tuple(actions), first_start, is_liveness=liveness)


def _draw(rng: Random, shape: Shape, seconds: float) -> list[Action]:
    found = _crowd(rng, seconds, per_minute=rng.choice((0.3, 1.0)))
    if rng.random() < FAULT_FREE:
        return found
    if shape.shard_of:
        is_alone = rng.random() < 0.5
        own = _own_kinds(shape, with_all=not is_alone)
        for at in _times(rng, seconds, 0.5 if is_alone else 0.2):
            found.append(_of_kind(rng, at, rng.choice(own), shape, seconds))
        if is_alone:
            return found
    # Some runs have faults of all kinds, others many of one kind.
    feed, process, redis = rng.choice(((0.4, 0.1, 0.2), (1.2, 0, 0), (0, 0.4, 0), (0.2, 0.1, 0.6)))
    kinds = rng.sample(FEED, rng.choice((3, 8, len(FEED))))
    for at in _times(rng, seconds, feed):
        found.append(_feed_fault(rng, at, rng.choice(kinds), shape, seconds))
    for at in _times(rng, seconds, process):
        kind = rng.choices(PROCESS, weights=(6, 4, 1, 1, 1, 1, 2))[0]
        found.append(_process_fault(rng, at, kind, shape))
    if shape.has_redis and not shape.wire:
        for at in _times(rng, seconds, redis):
            kinds_of_redis = [kind for kind in REDIS if kind not in UNHANDLED]
            found.append(_redis_fault(rng, at, rng.choice(kinds_of_redis)))
    return found


def _own_kinds(shape: Shape, *, with_all: bool) -> Sequence[str]:
    """Of faults of shards, or of their servers; perhaps such that concern all of a Cluster."""
    if not shape.wire:
        return SHARD
    if shape.wire == "sentinel":
        return WIRE
    return (*WIRE, *CLUSTER) if with_all else (*WIRE, "slot_moved")


def _times(rng: Random, seconds: float, per_minute: float) -> list[float]:
    times: list[float] = []
    at = rng.expovariate(per_minute / 60) if per_minute else inf
    while at < seconds:
        times.append(round(at, 3))
        at += rng.expovariate(per_minute / 60)
    return times


def _crowd(rng: Random, seconds: float, per_minute: float) -> list[Action]:
    return [
        Action(
            at,
            "client",
            {"does": rng.choice(CROWD)},
            round(min(rng.uniform(5, 240), seconds - at), 1),
            rng.getrandbits(32),
        )
        for at in _times(rng, seconds, per_minute)
    ]


def _feed_fault(rng: Random, at: float, name: str, shape: Shape, seconds: float) -> Action:
    if name in LASTING:
        # What only its own end undoes is over when calm begins.
        lasting = round(min(rng.uniform(20, 300), seconds - at), 1)
        arguments = LASTING[name](rng.choice(shape.afflicted)) | {"seconds": lasting}
        return Action(at, name, arguments, 0, rng.getrandbits(32))
    if name in SWITCHED:
        lasting = round(rng.uniform(20, 300), 1)
        return Action(at, name, SWITCHED[name](rng, shape), lasting, rng.getrandbits(32))
    draw, shortest, longest = RANDOM_FAULTS[name]
    lasting = round(rng.uniform(shortest, longest), 3) if longest else 0
    return Action(at, name, draw(rng), lasting, rng.getrandbits(32))


LASTING: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "hole": lambda _: {},
    "halt": lambda _: {},
    "halt_one": lambda symbol: {"symbols": [symbol]},
    "roll_back": lambda symbol: {"symbol": symbol},
}


def _one_symbol(rng: Random, shape: Shape) -> dict[str, Any]:
    return {"value": [rng.choice(shape.afflicted)]}


def _some_symbols(rng: Random, shape: Shape) -> dict[str, Any]:
    return {"value": rng.sample(shape.afflicted, rng.randint(1, len(shape.afflicted)))}


def _one_stream(rng: Random, shape: Shape) -> dict[str, Any]:
    interval = rng.choice(shape.intervals).value
    return {"value": [f"{rng.choice(shape.afflicted).lower()}@kline_{interval}"]}


def _one_peer(rng: Random, shape: Shape) -> str:
    """One that reads from the exchange."""
    feeds = [n for n, role in enumerate(shape.processes) if role.has_feed]
    number = rng.choice(feeds)
    return f"{shape.processes[number].value}-{number}"


SWITCHED: Mapping[str, Callable[[Random, Shape], dict[str, Any]]] = {
    "failing": _some_symbols,
    "unknown": _one_symbol,
    "stall_one": _one_stream,
    "peer_late": lambda rng, shape: {"value": {_one_peer(rng, shape): rng.uniform(1, 90)}},
    "peer_stall": lambda rng, shape: {"value": [_one_peer(rng, shape)]},
    "hosts": lambda _, __: {"value": ["rest-1", "stream-1"]},
    # An absurd value obeyed would outlast the run: tests/reliability has those.
    "retry_after": lambda rng, _: {"value": rng.choice(("none", "soon", "-1", "0", "30"))},
}


def _of_kind(rng: Random, at: float, kind: str, shape: Shape, seconds: float) -> Action:
    if kind in PROCESS:
        return _process_fault(rng, at, kind, shape)
    if kind in REDIS:
        return _redis_fault(rng, at, kind)
    if kind in SHARD:
        return _shard_fault(rng, at, kind, shape)
    if kind in (*WIRE, *CLUSTER):
        return _wire_fault(rng, at, kind, shape)
    return _feed_fault(rng, at, kind, shape, seconds)


def _process_fault(rng: Random, at: float, kind: str, shape: Shape) -> Action:
    arguments: dict[str, Any] = {"process": rng.randrange(len(shape.processes))}
    lasting = 0.0
    if kind == "kill" and rng.random() < KILLED_AFTER_TURN:
        arguments["after_turn"] = round(rng.uniform(0, 12), 1)
    elif kind == "clock_jump":
        arguments["by"] = rng.choice((-3600.0, -30.0, 30.0, 10_000.0))
    elif kind == "cut_off":
        lasting = round(rng.uniform(1, 60), 1)
        arguments["part"] = rng.choice(("exchange", "redis", "clients"))
    return Action(at, kind, arguments, lasting, rng.getrandbits(32))


def _redis_fault(rng: Random, at: float, kind: str) -> Action:
    arguments: dict[str, Any] = {}
    lasting = round(rng.uniform(1, 60), 1)
    if kind == "redis_refusing":
        arguments["with"] = rng.choice(
            ("OOM command not allowed", "READONLY", "LOADING", "ConnectionError: refused")
        )
    elif kind == "redis_fails_over":
        arguments["lag"] = round(rng.uniform(0, 1), 3)
        lasting = round(rng.uniform(0.5, 15), 1)
    elif kind == "redis_damaged_list":
        arguments["with"] = rng.choice(("garbage", "digits", "future", "event_time", "order"))
        lasting = 0.0
    elif kind == "redis_damaged_entry":
        arguments["with"] = rng.choice(("nothing", "digits", "state", "future"))
        lasting = 0.0
    elif kind == "redis_slow":
        arguments["by"] = rng.choice((0.05, 0.4, 0.9))
    elif kind == "redis_answers_lost":
        arguments["count"] = rng.randint(1, 5)
        lasting = 0.0
    elif kind == "redis_write_overtaken":
        arguments["process"] = rng.randrange(2)
        lasting = round(rng.uniform(4, 15), 1)
    elif kind in ("redis_emptied", "redis_restored"):
        lasting = 0.0
        arguments["age"] = round(rng.uniform(5, 120), 1)
    return Action(at, kind, arguments, lasting, rng.getrandbits(32))


def _shard_fault(rng: Random, at: float, kind: str, shape: Shape) -> Action:
    arguments: dict[str, Any] = {"shard": rng.choice(shape.afflicted_shards)}
    lasting = round(rng.uniform(2, 60), 1)
    if kind == "shard_slow":
        arguments["by"] = rng.choice((0.05, 0.4, 0.9))
    elif kind == "shard_lags":
        arguments["process"] = rng.randrange(len(shape.processes))
        arguments["by"] = rng.choice((0.2, 0.5, 0.9))
    elif kind == "lease_lost":
        arguments["how"] = rng.choice(("expires", "is taken"))
        lasting = 0.0
    return Action(at, kind, arguments, lasting, rng.getrandbits(32))


def _wire_fault(rng: Random, at: float, kind: str, shape: Shape) -> Action:
    arguments: dict[str, Any] = {"group": rng.choice(shape.afflicted_groups)}
    lasting = round(rng.uniform(1, 40), 1)
    if kind in (
        "primary_frozen",
        "slots_unserved",
    ):  # longer than a candle lasts: others must go on
        lasting = round(3 * lasting, 1)
    if kind == "slot_moved":
        arguments = {"shard": rng.choice(shape.afflicted_shards)}
        lasting = round(rng.uniform(0.3, 15), 1)
    elif kind == "primary_refusing":
        arguments["with"] = rng.choice(
            ("OOM command not allowed when used memory > 'maxmemory'.",
             "LOADING Redis is loading the dataset in memory",
             "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
             "READONLY You can't write against a read only replica.",
             "TRYAGAIN Multiple keys request during rehashing of slot",
             "CLUSTERDOWN Hash slot not served")
        )  # fmt: skip
    elif kind == "primary_slow":
        arguments["by"] = rng.choice((0.05, 0.2, 0.8))
    elif kind == "replies_lost":
        arguments["count"] = rng.randint(1, 4)
        lasting = 0.0
    else:
        arguments["lag"] = round(rng.uniform(0, 1), 3)
        arguments["promoted_after"] = round(rng.uniform(0.2, 6), 1)
        arguments["named_after"] = round(rng.uniform(0, 4), 1)
    return Action(at, kind, arguments, lasting, rng.getrandbits(32))


def _broken_for_good(rng: Random, shape: Shape, kinds: Sequence[str] = ()) -> Action:
    """One part that never works again: all others must go on."""
    kind = rng.choice(kinds or _can_break(shape))
    return Action(rng.uniform(30, 120), kind, {}, inf, rng.getrandbits(32))


def _can_break(shape: Shape) -> list[str]:
    kinds = ["endpoint_dead", "clients_dead"]
    if len(shape.symbols) > 1:
        kinds += ["symbol_failing", "symbols_failing"]
    if not shape.quiet:  # else the feed may be stale in truth
        kinds.append("streams_silent")
    if len(shape.symbols) > 1 and not shape.quiet:
        kinds += ["symbol_silent", "symbol_unknown", "symbol_halted"]
    if shape.shard_of:
        has_spared = shape.spared and not shape.wire
        return [*kinds, "gateway_alone", *(["shard_dead"] if has_spared else [])]
    if shape.symbols_of or shape.foreign:  # no other process can take over all that it does
        return kinds
    if shape.has_redis:
        kinds.append("redis_gone" if Role.GATEWAY not in shape.processes else "gateway_alone")
    if shape.processes.count(Role.INGEST) > 1:
        kinds.append("ingest_dead")
    return kinds
