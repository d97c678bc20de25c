"""What there is in a world: processes and their roles, symbols, shards of Redis, clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from redis.crc import key_slot

from smarttrade.market.interval import Interval
from smarttrade.role import Role
from smarttrade.store.shards import shard_of

SLOTS = 16384  # of a Redis Cluster

USUAL: Mapping[str, Any] = {"audit_round": 60.0, "rotate_after": 300.0, "stop_timeout": 2.0}


@dataclass(frozen=True)
class Shape:
    """What there is in a world."""

    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    intervals: tuple[Interval, ...] = (Interval.MINUTE_1, Interval.MINUTE_5)
    processes: tuple[Role, ...] = (Role.SERVE,)
    has_redis: bool = False
    symbols_of: tuple[tuple[str, ...], ...] = ()
    """Of each process, where their settings differ; those with fewer symbols leave in the end."""
    shards: int = 1
    """Parts of which each has a server of its own, as in a cluster."""
    shard_of: tuple[int | None, ...] = ()
    """The one that each process feeds; None for all of them."""
    wire: str = ""
    """"cluster" or "sentinel" if redis-py is part of it; then the shards are in its servers."""
    starts_after: tuple[float, ...] = ()
    """Seconds, of each process."""
    foreign: frozenset[int] = frozenset()
    """Numbers of the processes that read another exchange, at the same Redis."""
    steady: int = 3
    """Clients that stay until the end and reconnect whenever they lose their connection."""
    series_each: int = 2
    latency: float = 0.0
    """Seconds in each direction between a client and a process."""
    sockets: float = 0.8
    """Share of client connections that look like sockets to the service."""
    push_every: int = 2
    """Seconds between two pushes of a series at the exchange; 2 is what it documents."""
    quiet: bool = False
    """Whether the last symbol has minutes without a trade."""
    request_size: int = 0
    """Bytes of a SUBSCRIBE that the exchange reads, if not as many as in production. Then few streams
    are in the URL, too, so that a world of some series subscribes as others do with hundreds."""
    settings: Mapping[str, Any] = field(default_factory=lambda: USUAL)

    @property
    def afflicted(self) -> tuple[str, ...]:
        """The symbols that faults of single symbols happen to: all but the last of several."""
        return self.symbols[:-1] or self.symbols

    @property
    def populated(self) -> tuple[int, ...]:
        """Shards that have symbols."""
        return tuple(sorted({shard_of(symbol, self.shards) for symbol in self.symbols}))

    @property
    def afflicted_shards(self) -> tuple[int, ...]:
        """The shards that faults of single shards happen to: all but the last of several."""
        return self.populated[:-1] or self.populated

    @property
    def spared(self) -> tuple[str, ...]:
        """Symbols that no fault of single shards, or of their servers, happens to."""
        return tuple(
            symbol
            for symbol in self.symbols
            if not self._is_afflicted(shard_of(symbol, self.shards))
        )

    def _is_afflicted(self, shard: int) -> bool:
        if self.wire:
            return self.group_of(shard) in self.afflicted_groups
        return shard in self.afflicted_shards

    @property
    def groups(self) -> int:
        """Primaries with the replica of each."""
        return 3 if self.wire == "cluster" else 1

    def group_of(self, shard: int) -> int:
        """Where a Cluster has it, unless its slot is moved."""
        return key_slot(f"{{smarttrade:{shard}}}".encode()) * self.groups // SLOTS

    @property
    def afflicted_groups(self) -> tuple[int, ...]:
        """The groups of servers that faults happen to: all but the one of the last shard, if any of
        those has a shard; else all of them."""
        used = set(map(self.group_of, self.populated))
        last = self.group_of(self.populated[-1])
        every = range(self.groups)
        return tuple(n for n in every if n != last) if len(used) > 1 else tuple(every)


_TEN = (
    *("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"),
    *("LTCUSDT", "ADAUSDT", "ALGOUSDT", "ATOMUSDT", "POLUSDT"),
)

SHAPES: tuple[tuple[int, Shape], ...] = (
    (4, Shape(("BTCUSDT",), (Interval.MINUTE_1,), steady=2, series_each=1)),
    (3, Shape(("BTCUSDT", "ETHUSDT"), (Interval.MINUTE_1, Interval.MINUTE_3))),
    (2, Shape(("BTCUSDT",), (Interval.MINUTE_1, Interval.MINUTE_5), has_redis=True)),
    (
        3,
        Shape(
            ("BTCUSDT",),
            (Interval.MINUTE_1,),
            processes=(Role.INGEST, Role.INGEST, Role.GATEWAY, Role.GATEWAY),
            has_redis=True,
            steady=3,
            series_each=1,
        ),
    ),
    (1, Shape(("BTCUSDT",), processes=(Role.SERVE, Role.SERVE), has_redis=True)),
    (
        1,
        Shape(
            intervals=(Interval.MINUTE_1,),
            processes=(Role.INGEST, Role.INGEST, Role.GATEWAY),
            has_redis=True,
            symbols_of=(("BTCUSDT", "ETHUSDT"), ("BTCUSDT",), ("BTCUSDT", "ETHUSDT")),
        ),
    ),
    (
        1,
        Shape(
            ("BTCUSDT",),
            (Interval.MINUTE_1,),
            processes=(Role.INGEST, Role.SERVE, Role.INGEST, Role.GATEWAY),
            has_redis=True,
            foreign=frozenset({1, 2}),
            series_each=1,
        ),
    ),
    (
        1,
        Shape(
            _TEN,
            (Interval.MINUTE_1, Interval.MINUTE_3, Interval.MINUTE_5),
            series_each=6,
            request_size=200,
        ),
    ),
    (
        1,
        Shape(
            intervals=(Interval.MINUTE_1,),
            processes=(Role.INGEST, Role.INGEST, Role.INGEST, Role.GATEWAY),
            has_redis=True,
            shards=2,
            shard_of=(0, 1, None, None),
        ),
    ),
)

_SIX = tuple(map(Interval, ("1m", "5m", "15m", "1h", "4h", "1d")))

NAMED = {
    "full": Shape(_TEN, _SIX, steady=20, series_each=10, settings={"audit_round": 120.0}),
    "thinned": Shape(("BTCUSDT",), (Interval.MINUTE_1,), steady=1, series_each=1, push_every=10),
    "no rotation": Shape(settings={**USUAL, "rotate_after": 82800.0}),
    "one": SHAPES[0][1],
    "two": SHAPES[1][1],
    "redis": SHAPES[2][1],
    "deployment": SHAPES[3][1],
    "pair": SHAPES[4][1],
    "uneven": SHAPES[5][1],
    "origins": SHAPES[6][1],
    "many": SHAPES[7][1],
    "shards": SHAPES[8][1],
    "gateway": replace(SHAPES[3][1], processes=(Role.INGEST, Role.GATEWAY)),
}
"""To be asked for by name; the first two are those that speed is measured with."""


def sharded(rng: Random) -> Shape:
    """Up to four shards, each fed by a process of its own, and perhaps by a standby or by one that
    feeds them all. Some processes start later than others, gateways before a shard is written too.
    """
    count = rng.choice((1, 2, 2, 3, 4))
    symbols = sorted(rng.sample(_TEN, rng.choice((2, 3, 4))), key=_TEN.index)
    populated = sorted({shard_of(symbol, count) for symbol in symbols})
    feeds: list[int | None] = [*populated, *(n for n in populated if rng.random() < 0.4)]
    feeds = [*feeds[:5], *([None] if rng.random() < 0.3 else [])]
    gateways = rng.choice((1, 2))
    settings = [tuple(symbols) for _ in feeds]
    # What a gateway serves is what is stored, whatever its own settings say.
    settings += [tuple(symbols[: rng.choice((1, 9, 9))]) for _ in range(gateways)]
    return Shape(
        tuple(symbols),
        (Interval.MINUTE_1,),
        processes=(*(Role.INGEST for _ in feeds), *(Role.GATEWAY for _ in range(gateways))),
        has_redis=True,
        symbols_of=tuple(settings),
        shards=count,
        shard_of=(*feeds, *(None for _ in range(gateways))),
        starts_after=tuple(
            rng.choice((0.0, 0.0, 0.0, 4.0, 20.0)) for _ in range(len(feeds) + gateways)
        ),
        steady=3,
        series_each=2,
    )


def clustered(rng: Random) -> Shape:
    """Shards in a Redis Cluster: fed by processes of their own, or by two that feed them all."""
    count = rng.choice((1, 2, 3, 4))
    symbols = sorted(rng.sample(_TEN, 3), key=_TEN.index)
    populated = sorted({shard_of(symbol, count) for symbol in symbols})
    of_all: list[int | None] = [None, None]
    return _by_wire("cluster", symbols, count, rng.choice((of_all, [*populated, None])))


def behind_sentinels(rng: Random) -> Shape:
    """One primary behind Sentinels that has all shards."""
    symbols = sorted(rng.sample(_TEN, 2), key=_TEN.index)
    return _by_wire("sentinel", symbols, rng.choice((1, 1, 2)), [None, None])


def _by_wire(wire: str, symbols: Sequence[str], count: int, feeds: Sequence[int | None]) -> Shape:
    return Shape(
        tuple(symbols),
        (Interval.MINUTE_1,),
        processes=(*(Role.INGEST for _ in feeds), Role.GATEWAY, Role.GATEWAY),
        has_redis=True,
        wire=wire,
        shards=count,
        shard_of=(*feeds, None, None),
        steady=3,
        series_each=2,
    )


DRAWN: Mapping[str, Callable[[Random], Shape]] = {
    "sharded": sharded,
    "cluster": clustered,
    "sentinel": behind_sentinels,
}
"""Worlds that a seed draws, to be asked for by name too."""

SHARE_OF_DRAWN = 0.25


def shape_of(seed: int, rng: Random, named: str | None) -> Shape:
    """The world of a seed, or the one of that name."""
    if named in NAMED:
        return NAMED[named]
    own = rng.choices([s for _, s in SHAPES], weights=[w for w, _ in SHAPES])[0]
    shape = varied(own, rng)
    other = Random(f"world {seed} is drawn")
    if named is None and other.random() >= SHARE_OF_DRAWN:
        return shape
    draw = DRAWN[named or other.choice(sorted(DRAWN))]
    return varied(draw(other), other)


def varied(shape: Shape, rng: Random) -> Shape:
    return replace(
        shape,
        latency=rng.choice((0.0, 0.0, 0.02, 0.3)),
        push_every=rng.choice((2, 2, 4, 10)),
        shards=_shards(shape, rng),
        # A shard with a quiet symbol alone would be stale in truth.
        quiet=len(shape.symbols) > 1 and rng.random() < 0.3 and not shape.shard_of,
        settings={
            "audit_round": 60.0,
            "rotate_after": rng.choice((300.0, 900.0, 82800.0)),
            "stall_timeout": rng.choice((10.0, 30.0)),
            "max_pending_bytes": rng.choice((256 * 1024, 16 * 1024 * 1024)),
            "stop_timeout": rng.choice((2.0, 8.0)),
        },
    )


def _shards(shape: Shape, rng: Random) -> int:
    drawn = rng.choice((1, 1, 2))
    can_be_drawn = shape.has_redis and not (shape.foreign or shape.shard_of)
    return drawn if can_be_drawn else shape.shards
