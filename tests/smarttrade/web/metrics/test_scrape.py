"""`/metrics`, read as Prometheus would read it."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
import trio
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from actors import ActorInfo, State
from smarttrade.session.session_limits import SessionLimits
from smarttrade.store.feed import Feed
from smarttrade.store.shards import shard_of
from smarttrade.web.counters import Counters
from smarttrade.web.metrics.descriptions import DESCRIPTIONS
from smarttrade.web.metrics.scrape import numbers_in
from tests.fakes.candles import BTC, ETH, at, candle, rows
from tests.smarttrade.web.backend import SYMBOLS, WALL, Backend, backend

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def samples(text: str) -> Samples:
    """Every sample by its name and its labels."""
    found: Samples = {}
    for family in families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


async def scrape(server: Backend) -> Samples:
    answer = await server.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    return samples(answer.text)


def of(found: Samples, name: str, **named: str) -> float:
    return found[f"smarttrade_{name}", tuple(sorted(named.items()))]


async def test_every_family_has_a_type_a_meaning_and_our_prefix() -> None:
    async with backend() as server:
        text = (await server.get("/metrics")).text
    for family in families(text):
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.name.startswith("smarttrade_")
        assert family.documentation.endswith("."), f"{family.name}: no description"


def counted() -> set[str]:
    counters = Counters()
    parts = [getattr(counters, each.name) for each in fields(counters)]
    return {name for part in parts for name, _ in numbers_in(part)}


def test_every_counter_has_a_written_name() -> None:
    """A field that is renamed would rename a metric without notice."""
    assert counted() <= DESCRIPTIONS.keys()


def test_every_description_is_of_something() -> None:
    """Names that are no longer there would be taken for documentation."""
    own = re.compile("exchange_|redis_|actor_|mailbox_|process_|series_|symbol_")
    others = {
        "info",
        "server_waiting_bytes",
        "server_cached_bytes",
        "store_answers",
        "ready",
        "feed",
        "gaps",
        "push_delay_seconds",
        "series",
    }
    for name in DESCRIPTIONS.keys() - counted() - others - {"loop_delay_seconds"}:
        assert own.match(name), name


async def test_series_are_exposed_with_their_age_and_readiness(
    autojump_clock: MockClock,
) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        await server.live(BTC, candle(9, closed=False))
        found = await scrape(server)
    assert of(found, "series_ready", symbol="BTCUSDT", interval="1m") == 1
    assert of(found, "series_ready", symbol="ETHUSDT", interval="1m") == 0
    assert 0 <= of(found, "series_age_seconds", symbol="BTCUSDT", interval="1m") < 1
    assert ("smarttrade_series_age_seconds", labelled(ETH)) not in found
    assert of(found, "ready") == 0


async def test_with_too_many_series_only_their_numbers_are_exposed() -> None:
    async with backend(max_series_metrics=9) as server:
        await server.history(BTC, rows(0, 9))
        await server.live(BTC, candle(9, closed=False))
        found = await scrape(server)
    assert of(found, "series") == 10
    assert of(found, "series_not_ready") == 9
    assert of(found, "gaps", cause="unfilled") == 0
    assert not any(name in ("smarttrade_series_ready", "smarttrade_series_age_seconds")
                   for name, _ in found)  # fmt: skip


async def test_ages_of_symbols_are_exposed_whatever_the_number_of_series(
    autojump_clock: MockClock,
) -> None:
    async with backend(max_series_metrics=0) as server:
        assert not any(name.endswith("symbol_age_seconds") for name, _ in await scrape(server))
        await server.history(BTC, rows(0, 9))
        await trio.sleep(60)
        await server.history(ETH, rows(0, 9))
        await trio.sleep(5)
        found = await scrape(server)
    ages = [of(found, "symbol_age_seconds", quantile=each) for each in ("0", "0.5", "0.9", "1")]
    assert ages == [5, 5, 65, 65]


async def test_series_are_counted_for_each_shard() -> None:
    async with backend(max_series_metrics=0, shards=2) as server:
        await server.history(BTC, rows(0, 9))
        await server.live(BTC, candle(9, closed=False))
        found = await scrape(server)
    numbers = [sum(shard_of(symbol, 2) == shard for symbol in SYMBOLS) for shard in (0, 1)]
    intervals = 10 // len(SYMBOLS)
    own = shard_of("BTCUSDT", 2)
    for shard, number in enumerate(numbers):
        series = intervals * number
        assert of(found, "series", shard=str(shard)) == series
        assert of(found, "series_not_ready", shard=str(shard)) == series - (shard == own)
    assert of(found, "symbol_age_seconds", shard=str(own), quantile="1") >= 0


async def test_series_of_several_slices_are_all_exposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smarttrade.web.metrics.scrape.SERIES_PER_QUESTION", 1)
    async with backend() as server:
        found = await scrape(server)
    assert sum(name == "smarttrade_series_ready" for name, _ in found) == 10


def labelled(series: Any) -> Labels:
    return (("interval", series.interval.value), ("symbol", series.symbol))


async def test_feed_is_exposed_as_one_state_of_three() -> None:
    async with backend() as server:
        await server.feed(Feed.STALE)
        found = await scrape(server)
    states = {state: of(found, "feed", state=state) for state in ("live", "stale", "down")}
    assert states == {"live": 0, "stale": 1, "down": 0}


async def test_updates_and_corrections_are_counted_and_gaps_shown() -> None:
    with_a_hole = [one for one in rows(0, 9) if one.open_time not in (at(4), at(5))]
    async with backend() as server:
        await server.history(BTC, with_a_hole)
        await server.live(BTC, candle(9), candle(10))
        before = await scrape(server)
        await server.history(BTC, rows(3, 7), first=at(3))
        after = await scrape(server)
    assert of(before, "store_published_total") == of(before, "hub_published_total") > 0
    assert of(before, "gaps", cause="exchange") == 1
    assert of(after, "store_corrected_total") == 2
    assert of(after, "gaps", cause="exchange") == 0


async def test_delay_is_observed_once_for_each_candle_and_not_for_each_client(
    autojump_clock: MockClock,
) -> None:
    event_time = int(WALL * 1000) - 300  # ms: it took 0.3 s to get here
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        async with server.session() as one, server.session() as other:
            for session in (one, other):
                await session.say(symbol="BTCUSDT", interval="1m")
            for _ in range(3):
                event_time += 1
                update = candle(9, closed=False, volume=event_time - WALL * 1000 + 1000)
                await server.live(BTC, update._replace(event_time=event_time))
            found = await scrape(server)
    assert of(found, "push_delay_seconds_count") == 3
    assert of(found, "push_delay_seconds_bucket", le="0.25") == 0
    assert of(found, "push_delay_seconds_bucket", le="0.5") == 3
    assert of(found, "hub_delivered_total") == 6


async def test_clock_that_is_behind_the_exchange_makes_no_negative_delay() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        ahead = int(WALL * 1000) + 60_000
        await server.live(BTC, candle(9, closed=False)._replace(event_time=ahead))
        found = await scrape(server)
    assert of(found, "push_delay_seconds_bucket", le="0.005") == 1
    assert of(found, "push_delay_seconds_sum") == 0


async def test_clients_are_counted() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        async with server.session() as session:
            await session.say(symbol="BTCUSDT", interval="1m")
            await session.say_text("nonsense")
            await server.settle()
            found = await scrape(server)
    assert of(found, "hub_subscribers") == 1
    assert of(found, "hub_subscriptions") == 1
    assert of(found, "server_open") == 2  # and the one that asks for metrics
    assert of(found, "outbox_messages_total") >= 4


async def test_bad_requests_and_sessions_closed_for_them_are_counted() -> None:
    async with backend(limits=SessionLimits(bad_requests=2)) as server:
        async with server.session() as session:
            for _ in range(3):
                await session.say_text("nonsense")
            assert (await session.close_code())[0] == 1008
        found = await scrape(server)
    assert of(found, "session_bad_requests_total") == 3
    assert of(found, "session_closed_faulty_total") == 1


async def test_actors_are_labelled_with_their_path() -> None:
    store = ActorInfo(
        "store", State.PAUSING, restarts=2, mailbox_depth=3, mailbox_capacity=9, handled=7
    )
    listing = ActorInfo("listing", State.STOPPED)
    tree = ActorInfo("service", State.RUNNING, children=(store, listing))
    async with backend(tree=tree) as server:
        found = await scrape(server)
    assert of(found, "actor_restarts_total", actor="service/store") == 2
    assert of(found, "actor_running", actor="service/store") == 0
    assert of(found, "actor_running", actor="service/listing") == 1
    assert of(found, "mailbox_depth", actor="service/store") == 3
    assert of(found, "mailbox_capacity", actor="service/store") == 9
    assert of(found, "mailbox_handled_total", actor="service/store") == 7
    assert ("smarttrade_mailbox_depth", (("actor", "service"),)) not in found


async def test_silent_store_is_exposed_with_everything_else(
    autojump_clock: MockClock,
) -> None:
    async with backend(is_store_running=False) as server:
        found = await scrape(server)
    assert of(found, "store_answers") == 0
    assert of(found, "server_accepted_total") == 1
    assert not any(name == "smarttrade_series_ready" for name, _ in found)


async def test_nothing_that_a_client_says_becomes_a_label() -> None:
    async with backend() as server:
        before = await scrape(server)
        for path in (
            "/candles/NOPE/1m",
            "/candles/BTCUSDT/9m",
            "/nothing",
            "/udf/symbols?symbol=X",
        ):
            await server.get(path)
        async with server.session() as session:
            await session.say(symbol="EVIL", interval="1m")
            after = await scrape(server)
    assert set(after) == set(before)


async def test_redis_is_exposed_when_there_is_one() -> None:
    report = {
        "kind": "redis",
        "role": "leading",
        "since": 1.0,
        "lag": 0.25,
        "waiting": 4,
        "errors": 2,
    }
    async with backend(describe_store=lambda: report) as server:
        found = await scrape(server)
    assert of(found, "redis_role", role="leading") == 1
    assert of(found, "redis_role", role="away") == 0
    assert of(found, "redis_lag_seconds") == 0.25
    assert of(found, "redis_waiting_candles") == 4
    assert of(found, "redis_errors_total") == 2


# The format


SHARDS = {
    "kind": "redis",
    "role": "away",
    "since": 1.0,
    "lag": 0.5,
    "errors": 3,
    "shards": [
        {"shard": 0, "role": "leading", "since": 1.0, "lag": 0.25, "errors": 1},
        {"shard": 1, "role": "away", "since": 1.0, "lag": 0.5, "errors": 2},
    ],
}


async def test_every_shard_is_exposed_when_there_are_several() -> None:
    async with backend(describe_store=lambda: SHARDS, shards=2) as server:
        found = await scrape(server)
    assert of(found, "redis_role", role="leading", shard="0") == 1
    assert of(found, "redis_role", role="leading", shard="1") == 0
    assert of(found, "redis_role", role="away", shard="1") == 1
    assert of(found, "redis_lag_seconds", shard="1") == 0.5
    assert of(found, "redis_errors_total", shard="0") == 1
    assert of(found, "series_ready", symbol="BTCUSDT", interval="1m", shard="1") == 0
    assert of(found, "series_ready", symbol="ETHUSDT", interval="1m", shard="0") == 0
