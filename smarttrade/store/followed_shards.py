"""What a gateway knows of all its shards: one catalogue, and one status of the feed. Plain code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

import structlog

from ..market.interval import Interval
from .feed import UNKNOWN_FEED, FeedReport, FeedStatus, worst
from .messages import AdoptCatalogue
from .redis_format import StoreState
from .shards import shard_of

logger = structlog.get_logger("store.relay")

MAX_NAMED = 10  # symbols in a line of the log


class FollowedShards:
    """What is stored of each shard, by number.

    `symbols` are this process's own settings: they stand for the shards of which nothing is known.
    `expected` are symbols and intervals that its operator has set: others are worth a warning.
    """

    def __init__(
        self,
        shards: int = 1,
        symbols: Sequence[str] = (),
        expected: tuple[Sequence[str], Sequence[Interval]] = ((), ()),
        progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    ) -> None:
        self._count = shards
        self._configured = tuple(symbols)
        self._expected = expected
        self._states: dict[int, tuple[str, StoreState]] = {}
        self._feeds: dict[int, FeedStatus] = {}
        self._reported = FeedReport()
        self._was_different = False
        self._progress = progress
        self._loaded: dict[int, tuple[int, int]] = {}

    # -- the catalogue -------------------------------------------------------------------------

    def adopt(self, number: int, state: StoreState, origin: str) -> AdoptCatalogue:
        """A shard's catalogue is known. Returns that of all shards of the same exchange."""
        self._states[number] = origin, state
        states = {n: known for n, (of, known) in self._states.items() if of == origin}
        self._compare_intervals(states.values())
        details = {
            symbol: found for known in states.values() for symbol, found in known.details.items()
        }
        adopted = AdoptCatalogue(self._symbols(states), _intervals(states), origin, details)
        if self._populated() <= states.keys():
            self._compare_settings(adopted)
        return adopted

    def _symbols(self, states: Mapping[int, StoreState]) -> tuple[str, ...]:
        placed = [
            (place, number, symbol)
            for number, state in states.items()
            for place, symbol in zip(state.places or count(), state.symbols, strict=False)
        ]
        unknown = self._populated() - self._states.keys()
        placed += [
            (place, number, symbol)
            for place, symbol in enumerate(self._configured)
            if (number := shard_of(symbol, self._count)) in unknown
        ]
        return tuple(symbol for _, _, symbol in sorted(placed))

    def _compare_intervals(self, states: Iterable[StoreState]) -> None:
        found = {state.intervals for state in states}
        if len(found) > 1 and not self._was_different:
            names = sorted(",".join(interval.value for interval in each) for each in found)
            logger.warning("shards_differ", intervals=names)
        self._was_different = len(found) > 1

    def _compare_settings(self, adopted: AdoptCatalogue) -> None:
        """Log once what is set here and not served, or the other way round."""
        symbols, intervals = self._expected
        self._expected = (), ()
        known = {*adopted.symbols, *adopted.details}
        differ = known.symmetric_difference(symbols) if symbols else set()
        names = set(adopted.intervals).symmetric_difference(intervals) if intervals else set()
        if differ or names:
            logger.warning(
                "settings_differ",
                symbols=sorted(differ)[:MAX_NAMED],
                intervals=sorted(interval.value for interval in names),
                hint="what the ingest has is served",
            )

    def note_loaded(self, number: int, done: int, total: int) -> None:
        """So many of a shard's windows have been read for the first time, of so many."""
        self._loaded[number] = done, total
        dones, totals = zip(*self._loaded.values(), strict=True)
        self._progress(sum(dones), sum(totals))

    # -- the feed ------------------------------------------------------------------------------

    def report(self, number: int, status: FeedStatus) -> FeedReport | None:
        """A shard's feed has changed. Returns those of all, if there is news.

        A shard without symbols does not count.
        """
        self._feeds[number] = status
        populated = self._populated() or {number}
        feeds = {each: self._feeds.get(each, UNKNOWN_FEED) for each in populated}
        shards = tuple(map(feeds.get, range(self._count))) if self._count > 1 else ()
        report = FeedReport(worst(feeds.values()), shards)
        if report == self._reported:
            return None
        self._reported = report
        return report

    def _populated(self) -> set[int]:
        """Shards with symbols: by what is stored, or by this process's settings before that."""
        if not self._states:
            return {shard_of(symbol, self._count) for symbol in self._configured}
        states = {number: state for number, (_, state) in self._states.items()}
        expected = {number for state in states.values() for number in state.populated}
        return {n for n, state in states.items() if state.symbols} | (expected - states.keys())


def _intervals(states: Mapping[int, StoreState]) -> tuple[Interval, ...]:
    return tuple(dict.fromkeys(each for state in states.values() for each in state.intervals))
