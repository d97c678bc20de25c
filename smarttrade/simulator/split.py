"""How a bar falls into shorter ones: a day into hours, an hour into minutes, a minute into seconds.

The parts are the parent's exactly: the first opens where it opens, the last closes where it
closes, each opens where the one before closed, one of them reaches the high and one the low, and
volumes and trades add up. A part without trades is flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from random import Random

from .bar import Bar, flat

WEIGHT = 2000  # the scale of the whole-number weights below; large enough that floors do not show
TAIL = 0.05  # the smaller, the more the busiest part outweighs the others
QUIET_SHARE = 0.4  # of a sparse parent's parts, those without trades


def split(
    parent: Bar, count: int, rng: Random, *, at_least: int = 0, sparse: bool = False
) -> list[Bar]:
    """`count` bars that make up `parent`.

    `at_least` trades go to every part where the parent has so many. With `sparse` some parts
    have none.
    """
    if parent.trades == 0:
        return [flat(parent.open, parent.first_trade)] * count
    weights = _weights(count, rng, sparse=sparse)
    trades = _shares_of_trades(parent.trades, weights, at_least)
    active = [index for index, number in enumerate(trades) if number]
    if len(active) == count:
        return _fill(parent, weights, trades, rng)
    parts = _fill(parent, [weights[i] for i in active], [trades[i] for i in active], rng)
    return _spread(parent, parts, active, count)


def partition(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to `weights` whose sum is `total`."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    marks = [total * weight // whole for weight in accumulate(weights, initial=0)]
    return [after - before for before, after in pairwise(marks)]


def _weights(count: int, rng: Random, *, sparse: bool) -> list[int]:
    """How busy each part is: a few very, most a little, like trading."""
    random = rng.random
    weights = [int(WEIGHT / (TAIL + random())) for _ in range(count)]
    if sparse:
        busiest = weights.index(max(weights))
        weights = [
            0 if index != busiest and random() < QUIET_SHARE else weight
            for index, weight in enumerate(weights)
        ]
    return weights


def _shares_of_trades(total: int, weights: Sequence[int], at_least: int) -> list[int]:
    if at_least and 0 not in weights and total >= at_least * len(weights):
        rest = partition(total - at_least * len(weights), weights)
        return [at_least + number for number in rest]
    return partition(total, weights)


def _fill(parent: Bar, weights: Sequence[int], trades: Sequence[int], rng: Random) -> list[Bar]:
    """The parts that trade; every trade moves a lot at least."""
    path = _path(parent, weights, rng)
    highs, lows = _wicks(parent, path, rng)
    extra = partition(parent.volume - parent.trades, weights)
    volumes = [number + lots for number, lots in zip(trades, extra, strict=True)]
    worth = [lots * (path[i] + path[i + 1] + highs[i] + lows[i]) for i, lots in enumerate(volumes)]
    ids = accumulate(trades, initial=parent.first_trade)
    return [
        Bar(*fields)
        for fields in zip(
            path,
            highs,
            lows,
            path[1:],
            volumes,
            partition(parent.quote, worth),
            trades,
            partition(parent.taker, volumes),
            ids,
            strict=False,
        )
    ]


def _path(parent: Bar, weights: Sequence[int], rng: Random) -> list[int]:
    """A walk from the parent's open to its close through most of its range; one step a part.

    Steps grow with the root of what is traded, as they do on markets.
    """
    count = len(weights)
    start, high, low, end = parent[:4]
    if high == low or count == 1:
        return [start] * count + [end]
    random = rng.random
    walk = list(accumulate(((random() - 0.5) * weight**0.5 for weight in weights), initial=0.0))
    drift = walk[-1] / count
    bridge = [value - drift * index for index, value in enumerate(walk)]
    scale = (high - low) / (max(bridge) - min(bridge) or 1.0)
    slope = (end - start) / count
    points = [start + slope * index + scale * value for index, value in enumerate(bridge)]
    path = _fold(points, parent)
    path[0], path[-1] = start, end
    return path


def _fold(points: list[float], parent: Bar) -> list[int]:
    """Turn back what would leave the parent's range, so that it moves as much as the rest."""
    low, span = parent.low, parent.high - parent.low
    folded = []
    for point in points:
        above = (int(point) - low) % (2 * span or 1)
        folded.append(low + min(above, 2 * span - above))
    return folded


def _wicks(parent: Bar, path: Sequence[int], rng: Random) -> tuple[list[int], list[int]]:
    high, low = parent.high, parent.low
    reach = 0.6 * (high - low) / (len(path) - 1) ** 0.5
    random = rng.random
    highs, lows = [], []
    for before, after in pairwise(path):
        above, below = (before, after) if before > after else (after, before)
        highs.append(min(high, above + int(reach * random() ** 2)))
        lows.append(max(low, below - int(reach * random() ** 2)))
    highs[highs.index(max(highs))] = high
    lows[lows.index(min(lows))] = low
    return highs, lows


def _spread(parent: Bar, parts: list[Bar], places: list[int], count: int) -> list[Bar]:
    """Put `parts` at their `places` among `count`, the rest flat at the price of the moment."""
    bars: list[Bar] = []
    price, next_trade = parent.open, parent.first_trade
    following = iter(zip(places, parts, strict=True))
    place, part = next(following)
    for index in range(count):
        if index != place:
            bars.append(flat(price, next_trade))
            continue
        bars.append(part)
        price, next_trade = part.close, part.first_trade + part.trades
        place, part = next(following, (count, part))
    return bars
