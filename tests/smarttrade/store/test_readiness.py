"""What is known of the readiness of many series without a look at each."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from actors import Mailbox
from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.market.symbol_details import SymbolDetails, SymbolState
from smarttrade.store.actor import CHECKED_AT_A_TIME, MAX_CHECKED, run_store
from smarttrade.store.checks import MAX_VISITED
from smarttrade.store.events import CandlesMissing
from smarttrade.store.freshness import NO_HISTORY
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import CheckOverdue, GetOverview, PutHistory, StoreMessage
from smarttrade.store.readiness import Readiness
from tests.fakes.candles import BTC, ETH, candle, rows

INTERVALS = (Interval.MINUTE_1, Interval.HOUR_1)


def many(count: int = MAX_VISITED) -> MemoryStore:
    return MemoryStore([f"S{n}USDT" for n in range(count)], INTERVALS)


def first_of(store: MemoryStore) -> Series:
    return store.listed[0]


def test_series_that_was_not_looked_at_is_not_ready() -> None:
    readiness = Readiness()
    readiness.have([BTC, ETH])
    assert readiness.not_ready == readiness.not_loaded == {BTC: NO_HISTORY, ETH: NO_HISTORY}


def test_series_that_goes_leaves_nothing_behind() -> None:
    readiness = Readiness()
    readiness.have([BTC, ETH])
    readiness.note(BTC, "gap", gaps=(2, 3))
    readiness.note(ETH, "halted", is_excused=True, gaps=(1, 0))
    assert readiness.gaps == {"exchange": 3, "unfilled": 3}
    assert (readiness.not_ready, readiness.excused) == ({BTC: "gap"}, {ETH: "halted"})
    readiness.have([])
    assert readiness.gaps == {"exchange": 0, "unfilled": 0}
    assert readiness.not_ready == readiness.excused == readiness.not_loaded == {}


def test_age_is_that_of_symbols_that_trade() -> None:
    store = MemoryStore(["BTCUSDT", "ETHUSDT"], INTERVALS)
    assert store.overview(0.0).symbol_ages == {}
    store.put_history(BTC, rows(0, 9), None, 0.0, 1.0)
    store.put_history(ETH, rows(0, 9), None, 0.0, 3.0)
    assert store.overview(5.0).symbol_ages == {"BTCUSDT": 4.0, "ETHUSDT": 2.0}
    halted = SymbolDetails("HALT", None, SymbolState.HALTED)
    store.list_symbols(["BTCUSDT", "ETHUSDT"], {"BTCUSDT": halted}, 5.0)
    assert store.overview(5.0).symbol_ages == {"ETHUSDT": 2.0}
    store.list_symbols(["BTCUSDT"], {"BTCUSDT": halted}, 5.0)
    assert store.overview(5.0).symbol_ages == {}


def test_series_that_stays_keeps_what_was_found() -> None:
    readiness = Readiness()
    readiness.have([BTC])
    readiness.note(BTC, None)
    readiness.have([BTC, ETH])
    assert list(readiness.not_ready) == [ETH]


def test_few_series_are_looked_at_for_each_question() -> None:
    store = MemoryStore(["BTCUSDT"], [Interval.MINUTE_1])
    store.put_history(BTC, rows(0, 9), None, 0.0, 0.0)
    assert store.overview(0.0).not_ready == {}


def test_of_many_series_the_last_check_counts() -> None:
    store = many()
    series = first_of(store)
    store.put_history(series, rows(0, 9), None, 0.0, 0.0)
    assert len(store.overview(0.0).not_ready) == 2 * MAX_VISITED
    store.check_overdue(0.0, 0.0)
    seen = store.overview(0.0)
    assert len(seen.not_ready) == len(seen.not_loaded) == 2 * MAX_VISITED - 1
    assert series not in seen.not_ready
    store.put_updates([(series, candle(9)), (series, candle(12))], 1.0, 0.0)
    store.check_overdue(1.0, 0.0)
    assert store.overview(1.0).gaps == {"exchange": 0, "unfilled": 0}  # buffered, no gap yet
    assert series in store.overview(1.0).not_ready
    store.check_overdue(7.0, 0.0)
    assert store.overview(7.0).gaps["unfilled"] == 1


def test_check_in_slices_visits_each_series_once() -> None:
    store = many(10)
    for series in store.listed:
        store.history_refused(series, 0.0)
    asked: list[Series] = []
    slices = 0
    while not slices or not store.is_check_done:
        slices += 1
        events = store.check_overdue(99.0, 0.0, 4)
        asked += [event.series for event in events if isinstance(event, CandlesMissing)]
    assert slices == 5
    assert asked == list(store.listed)


async def test_questions_are_answered_between_the_slices_of_a_check() -> None:
    store = many()
    mailbox = Mailbox[StoreMessage]("store", capacity=100)
    checked: list[int] = []
    check_overdue = store.check_overdue

    def counting(now: float, wall: float, at_most: int | None = None) -> list[object]:
        checked.append(at_most or 0)
        return [*check_overdue(now, wall, at_most)]

    store.check_overdue = counting  # type: ignore[method-assign,assignment]
    async with trio.open_nursery() as nursery:
        await mailbox.tell(CheckOverdue())
        await mailbox.tell(PutHistory(first_of(store), rows(0, 9), None))
        nursery.start_soon(lambda: run_store(mailbox, store, hub=None, gaps=None))
        overview = await mailbox.ask(GetOverview)
        answered_after = len(checked)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert overview.series_count == 2 * MAX_VISITED
    assert answered_after < 2 * MAX_VISITED // CHECKED_AT_A_TIME
    assert checked == [CHECKED_AT_A_TIME] * (2 * MAX_VISITED // CHECKED_AT_A_TIME)


async def test_check_of_very_many_series_takes_some_rounds() -> None:
    store = many(MAX_CHECKED)
    mailbox = Mailbox[StoreMessage]("store", capacity=100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run_store(mailbox, store, hub=None, gaps=None))
        done = []
        for _ in range(4):
            await mailbox.tell(CheckOverdue())
            await wait_all_tasks_blocked()
            done.append(store.is_check_done)
        nursery.cancel_scope.cancel()
    assert done == [False, True, False, True]


def test_what_was_noted_of_a_series_is_forgotten_once_it_is_fine() -> None:
    readiness = Readiness()
    readiness.have([BTC])
    readiness.note_fine(BTC)
    assert readiness.not_ready == readiness.not_loaded == {}
    readiness.note(BTC, "behind", gaps=(1, 2))
    assert readiness.not_ready == {BTC: "behind"}
    readiness.note_fine(BTC)
    assert readiness.not_ready == {}
    assert readiness.gaps == {"exchange": 0, "unfilled": 0}


def test_series_that_returns_is_not_ready_before_it_is_looked_at() -> None:
    readiness = Readiness()
    readiness.have([BTC])
    readiness.note_fine(BTC)
    readiness.have([])
    readiness.have([BTC])
    assert readiness.not_ready == {BTC: NO_HISTORY}
    readiness.note_fine(BTC)
    assert readiness.not_ready == {}
