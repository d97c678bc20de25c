"""Which symbol is where, and how what belongs to several shards is divided and put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.store.backlog import Backlog
from smarttrade.store.backlogs import Backlogs
from smarttrade.store.events import (
    CandlesPublished,
    Event,
    FeedChanged,
    GapsChanged,
    Published,
    WindowReplaced,
)
from smarttrade.store.feed import UNKNOWN_FEED, Feed, FeedReport, FeedStatus
from smarttrade.store.followed_shards import FollowedShards
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import AdoptCatalogue, RestoreWindows
from smarttrade.store.redis_format import StoreState, state_to_text
from smarttrade.store.redis_report import describe_shards
from smarttrade.store.shard_view import ShardView
from smarttrade.store.shards import MAX_SHARDS, Shard, make_shard, shard_of
from smarttrade.store.stored_symbols import StoredSymbols
from smarttrade.store.stored_values import state_from_text
from tests.fakes.candles import BTC, ETH, candle

SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT", "SOLUSDT")  # of two shards: 1, 0, 1, 0
MINUTE, HOUR = Interval.MINUTE_1, Interval.HOUR_1
LIVE, STALE = FeedStatus(Feed.LIVE, 1.0), FeedStatus(Feed.STALE, 5.0)
ORIGIN = "binance.com"


# Which shard


def test_symbols_stay_where_they_are() -> None:
    """What is stored by one version is found by the next."""
    assert [shard_of(symbol, 2) for symbol in SYMBOLS] == [1, 0, 1, 0]
    assert [shard_of(symbol, 64) for symbol in SYMBOLS] == [3, 28, 37, 48]


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1), st.integers(1, MAX_SHARDS))
def test_symbol_belongs_to_one_shard(symbol: str, count: int) -> None:
    assert [Shard(n, count).has(symbol) for n in range(count)].count(True) == 1


def test_symbols_are_spread_evenly() -> None:
    names = [f"{a}{b}{c}USDT" for a in "ABCDEFGHIJ" for b in "KLMNOPQRST" for c in "ABCDEUVWXYZ"]
    for count in (2, 3, 4, 7, 16):
        sizes = Counter(shard_of(name, count) for name in names).values()
        assert len(sizes) == count
        assert max(sizes) < 1.5 * len(names) / count


# What the journal of a shard sees


def test_journal_of_a_shard_sees_its_part_of_the_store() -> None:
    memory = MemoryStore(SYMBOLS, [MINUTE])
    halted = SymbolDetails(state=SymbolState.HALTED)
    memory.list_symbols(SYMBOLS, {"BTCUSDT": halted, "ETHUSDT": halted})
    view = ShardView(memory, make_shard(0, 2, SYMBOLS))
    assert view.listed == (ETH, Series("SOLUSDT", MINUTE))
    assert view.state == StoreState(
        ("ETHUSDT", "SOLUSDT"), (MINUTE,), memory.feed, {"ETHUSDT": halted}, (1, 3), (0, 1)
    )
    assert state_from_text(state_to_text(view.state).encode()) == view.state


def test_only_shard_sees_everything_and_stores_nothing_about_shards() -> None:
    memory = MemoryStore(SYMBOLS, [MINUTE])
    view = ShardView(memory, make_shard(0, 1, SYMBOLS))
    assert view.listed == memory.listed
    assert "places" not in state_to_text(view.state)
    assert "populated" not in state_to_text(view.state)


@dataclass
class NotedEvents:
    """Where a backlog would be."""

    events: list[Event] = field(default_factory=list)

    def note(self, event: Event) -> None:
        self.events.append(event)


def test_each_backlog_gets_what_is_of_its_shard() -> None:
    noted = {0: NotedEvents(), 1: NotedEvents()}
    backlogs: dict[int, Backlog] = noted  # type: ignore[assignment]
    both = Backlogs(backlogs, 2)
    btc = [Published(BTC, candle(n), False) for n in (1, 2)]
    eth = Published(ETH, candle(1), False)
    both.note(CandlesPublished([btc[0], eth, btc[1]]))
    both.note(WindowReplaced(ETH))
    both.note(GapsChanged(BTC))
    both.note(FeedChanged(LIVE))
    assert noted[0].events == [CandlesPublished([eth]), WindowReplaced(ETH), FeedChanged(LIVE)]
    assert noted[1].events == [CandlesPublished(btc), GapsChanged(BTC), FeedChanged(LIVE)]


def test_stored_symbols_are_complete_once_all_shards_are_read() -> None:
    halted = SymbolDetails(state=SymbolState.HALTED)
    stored = StoredSymbols(3)
    assert stored.add(0, StoreState(("ETHUSDT",), (MINUTE,), LIVE, {"ETHUSDT": halted})) is None
    assert stored.add(2, None) is None
    assert stored.add(1, StoreState(("BTCUSDT",), (MINUTE,), LIVE)) == RestoreWindows(
        (), ["ETHUSDT", "BTCUSDT"], {"ETHUSDT": halted}
    )


# What a gateway follows


def state(*symbols: str, feed: FeedStatus = LIVE, all_of: tuple[str, ...] = SYMBOLS) -> StoreState:
    shard = make_shard(0, 2, all_of)
    places = tuple(shard.places[symbol] for symbol in symbols)
    return StoreState(symbols, (MINUTE,), feed, {}, places, shard.populated)


def symbols_of(adopted: AdoptCatalogue) -> tuple[str, ...]:
    return tuple(adopted.symbols)


def test_symbols_of_all_shards_are_in_the_configured_order() -> None:
    followed = FollowedShards(2)
    followed.adopt(0, state("ETHUSDT", "SOLUSDT"), ORIGIN)
    adopted = followed.adopt(1, state("BTCUSDT", "ADAUSDT"), ORIGIN)
    assert symbols_of(adopted) == SYMBOLS
    assert tuple(adopted.intervals) == (MINUTE,)


def test_only_shard_is_adopted_as_it_is() -> None:
    followed = FollowedShards(1, ["DOGEUSDT"])
    stored = StoreState(("ETHUSDT", "BTCUSDT"), (HOUR, MINUTE), LIVE)
    assert followed.adopt(0, stored, ORIGIN) == AdoptCatalogue(
        ("ETHUSDT", "BTCUSDT"), (HOUR, MINUTE), ORIGIN, {}
    )


def test_settings_stand_for_a_shard_that_is_not_known_yet() -> None:
    """Its symbols are then not loaded, rather than unknown."""
    followed = FollowedShards(2, ["DOGEUSDT", *SYMBOLS])
    adopted = followed.adopt(0, state("ETHUSDT", "SOLUSDT"), ORIGIN)
    assert set(adopted.symbols) == {"ETHUSDT", "SOLUSDT", "BTCUSDT", "ADAUSDT"}
    adopted = followed.adopt(1, state("BTCUSDT"), ORIGIN)
    assert symbols_of(adopted) == ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def test_settings_do_not_stand_for_a_shard_that_has_no_symbols() -> None:
    followed = FollowedShards(2, SYMBOLS)
    adopted = followed.adopt(0, state("ETHUSDT", all_of=("ETHUSDT", "SOLUSDT")), ORIGIN)
    assert symbols_of(adopted) == ("ETHUSDT",)
    assert followed.report(0, LIVE) == (LIVE, (LIVE, None))


def test_shards_of_different_exchanges_are_never_served_together() -> None:
    followed = FollowedShards(2)
    followed.adopt(0, state("ETHUSDT"), "testnet.binance.vision")
    adopted = followed.adopt(1, state("BTCUSDT"), ORIGIN)
    assert (symbols_of(adopted), adopted.origin) == (("BTCUSDT",), ORIGIN)
    adopted = followed.adopt(0, state("ETHUSDT"), ORIGIN)
    assert symbols_of(adopted) == ("BTCUSDT", "ETHUSDT")


def warnings_of(expected: tuple[Sequence[str], Sequence[Interval]]) -> list[Any]:
    followed = FollowedShards(2, SYMBOLS, expected)
    with capture_logs() as logs:
        followed.adopt(0, state("ETHUSDT", "SOLUSDT"), ORIGIN)
        for _ in range(2):
            followed.adopt(1, state("BTCUSDT", "ADAUSDT"), ORIGIN)
    return [(each["symbols"], each["intervals"]) for each in logs]


def test_settings_that_differ_are_one_warning() -> None:
    assert warnings_of(((), ())) == []
    assert warnings_of((SYMBOLS, [MINUTE])) == []
    fewer = SYMBOLS[:2], [MINUTE, HOUR]
    assert warnings_of(fewer) == [(["ADAUSDT", "SOLUSDT"], ["1h"])]


def test_shards_with_other_intervals_are_one_warning() -> None:
    followed = FollowedShards(2)
    with capture_logs() as logs:
        followed.adopt(0, state("ETHUSDT"), ORIGIN)
        for _ in range(2):
            other = state("BTCUSDT")._replace(intervals=(HOUR,))
            adopted = followed.adopt(1, other, ORIGIN)
    assert [each["event"] for each in logs] == ["shards_differ"]
    assert tuple(adopted.intervals) == (MINUTE, HOUR)


def test_progress_is_that_of_all_shards() -> None:
    progress: list[tuple[int, int]] = []
    followed = FollowedShards(2, progress=lambda done, total: progress.append((done, total)))
    followed.note_loaded(0, 25, 60)
    followed.note_loaded(1, 25, 40)
    followed.note_loaded(0, 60, 60)
    followed.note_loaded(1, 40, 40)
    assert progress == [(25, 60), (50, 100), (85, 100), (100, 100)]


def test_feed_is_as_well_as_the_worst_shards() -> None:
    followed = FollowedShards(2)
    followed.adopt(0, state("ETHUSDT"), ORIGIN)
    assert followed.report(0, LIVE) == (UNKNOWN_FEED, (LIVE, UNKNOWN_FEED))
    followed.adopt(1, state("BTCUSDT"), ORIGIN)
    assert followed.report(1, LIVE) == (LIVE, (LIVE, LIVE))
    assert followed.report(1, LIVE) is None
    assert followed.report(1, STALE) == (STALE, (LIVE, STALE))
    later = FeedStatus(Feed.STALE, 7.0)
    assert followed.report(0, later) == (STALE, (later, STALE))
    assert followed.report(1, LIVE) == (later, (later, LIVE))
    assert followed.report(0, LIVE) == (LIVE, (LIVE, LIVE))


def test_feed_of_the_only_shard_is_that_of_all() -> None:
    followed = FollowedShards(1)
    followed.adopt(0, StoreState(("BTCUSDT",), (MINUTE,), LIVE), ORIGIN)
    assert followed.report(0, STALE) == (STALE, ())


def test_feed_of_symbols_is_that_of_the_worst_of_their_shards() -> None:
    report = FeedReport(STALE, (LIVE, STALE))
    assert report.of(["ETHUSDT", "SOLUSDT"]) == LIVE
    assert report.of(["BTCUSDT"]) == report.of(["ETHUSDT", "BTCUSDT"]) == STALE
    assert report.of([]) == STALE
    assert FeedReport(LIVE, (LIVE, None)).of(["BTCUSDT"]) == LIVE
    assert FeedReport(STALE).of(["ETHUSDT"]) == STALE


def test_report_of_several_shards_is_that_of_the_worst() -> None:
    one = {"role": "following", "since": 1.0, "last_error": None, "leader": None, "lag": 0.5}
    two = {"role": "away", "since": 2.0, "last_error": "gone", "leader": None, "lag": 9.0}
    shards = [{"shard": 0, **one, "errors": 1}, {"shard": 1, **two, "errors": 2}]
    assert describe_shards(shards) == {**two, "errors": 3, "shards": shards}
