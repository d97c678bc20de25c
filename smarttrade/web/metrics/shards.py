"""What is exported of all series together, whatever their number; of each shard, if several."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ...store.messages import Overview
from ...store.shards import shard_of
from .exposition import Exposition, labels

QUANTILES = (0.0, 0.5, 0.9, 1.0)


def shard_label(symbol: str, shards: int) -> dict[str, str]:
    """Nothing where there is only one."""
    return _named(_shard(symbol, shards))


def add_series_of_shards(into: Exposition, overview: Overview, shards: int) -> None:
    """How many series there are and are not ready, and for how long symbols have been silent."""
    symbols = _by_shard(overview.symbols, shards)
    not_ready = Counter(_shard(series.symbol, shards) for series in overview.not_ready)
    intervals = len(overview.intervals)
    series = [(_labels(shard), len(of) * intervals) for shard, of in symbols.items()]
    into.add_all("series", series)
    unready = [(_labels(shard), not_ready[shard]) for shard in symbols]
    into.add_all("series_not_ready", unready)
    known = overview.symbol_ages
    ages = [
        (labels({"quantile": f"{quantile:g}"} | _named(shard)), round(age, 3))
        for shard, of in symbols.items()
        for quantile, age in quantiles(known[each] for each in of if each in known)
    ]
    into.add_all("symbol_age_seconds", ages)


def quantiles(values: Iterable[float]) -> Sequence[tuple[float, float]]:
    """The nearest value to each of `QUANTILES`; nothing of no values."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return [(each, ordered[round(each * last)]) for each in QUANTILES if ordered]


def _by_shard(symbols: Sequence[str], shards: int) -> Mapping[int | None, list[str]]:
    """None is the only shard, which is there before its symbols are."""
    found: dict[int | None, list[str]] = defaultdict(list, {None: []} if shards == 1 else {})
    for symbol in symbols:
        found[_shard(symbol, shards)].append(symbol)
    return dict(sorted(found.items(), key=lambda item: item[0] or 0))


def _shard(symbol: str, shards: int) -> int | None:
    return None if shards == 1 else shard_of(symbol, shards)


def _named(shard: int | None) -> dict[str, str]:
    return {} if shard is None else {"shard": str(shard)}


def _labels(shard: int | None) -> str:
    return labels(_named(shard))
