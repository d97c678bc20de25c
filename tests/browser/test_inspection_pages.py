"""`/inspect` and `/inspect-ws`, directly and behind a front end."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Route

from smarttrade.store.shards import shard_of

from .prefix_proxy import PREFIX, PrefixProxy
from .processes import INTERVALS, SYMBOLS, Exchange, Service
from .watched import Watched

ROWS = len(SYMBOLS) * len(INTERVALS)


def test_inspect_shows_every_series_and_what_runs(watched: Watched) -> None:
    watched.open("/inspect")
    watched.wait_for(f"document.querySelectorAll('#series tr').length === {ROWS}", "all series")
    watched.wait_for("document.querySelector('#summary').className === 'good'", "all is well")
    assert watched.text("#feed") == "live"
    first = watched.page.locator("#series tr").first.locator("th, td").all_inner_texts()
    assert first[:4] == ["BTCUSDT", "1m", "complete and up to date", "1,000"]
    watched.wait_for("document.querySelector('#series').innerText.includes('none')", "gaps")
    assert "running" in watched.text("#actors")
    close = "document.querySelector('#series tr').cells[8].textContent"
    before = watched.page.evaluate(close)
    watched.wait_for(f"{close} !== '{before}'", "another price")
    assert watched.complaints == []


MANY = 8000


def many(query: dict[str, list[str]]) -> dict[str, object]:
    """What a backend with so many series answers."""
    offset, limit = (int(query[name][0]) for name in ("offset", "limit"))
    search = query.get("search", [""])[0].upper()
    names = [f"S{number:04}USDT" for number in range(MANY)]
    found = [name for name in names if search in name]
    bad = {"S0007USDT", "S7007USDT"}
    if "not_ready" in query:
        found = [name for name in found if name in bad]
    entry = {"interval": "1m", "count": 1000, "closed": False, "age": 1.0, "gaps": 0}
    entry |= {"gaps_unfilled": 0, "last_candle_time": 1_733_007_600}
    entry |= dict.fromkeys(("last_open", "last_high", "last_low", "last_close"), 1.5)
    return {
        "symbols": names,
        "per_symbol": [
            entry | {"symbol": name, "status": "a gap" if name in bad else "ok"}
            for name in found[offset : offset + limit]
        ],
        "feed": "live",
        "feed_since": 1.0,
        "store": {"kind": "memory"},
        "simulated": False,
        "last_store_update_ts": 1.0,
        "age": 0.5,
        "series": MANY,
        "not_ready": len(bad),
        "gaps_unfilled": 0,
        "matching": len(found),
        "offset": offset,
    }


def first_row(watched: Watched) -> str:
    return watched.page.locator("#series tr").first.locator("th").inner_text()


def test_inspect_has_few_of_many_series_in_its_table_and_finds_the_others(
    watched: Watched,
) -> None:
    def answer(route: Route) -> None:
        route.fulfill(json=many(parse_qs(urlsplit(route.request.url).query)))

    watched.page.route("**/streaming/status*", answer)
    watched.open("/inspect")
    rows = "document.querySelectorAll('#series tr').length"
    watched.wait_for(f"{rows} === 200", "some of the series")
    assert watched.text("#series-count") == "7998 of 8000 complete and up to date"
    height = watched.page.evaluate("document.documentElement.scrollHeight")
    assert height > MANY * 20, "the others have their place"
    watched.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    watched.wait_for("document.querySelector('#series').innerText.includes('S7999USDT')", "the end")
    assert watched.page.evaluate(rows) == 200
    watched.page.locator("#search").fill("s701")
    watched.wait_for(f"{rows} === 10", "what was looked for")
    assert first_row(watched) == "S7010USDT"
    assert watched.text("#matching") == "10 of 8,000 series"
    watched.page.locator("#search").fill("")
    watched.page.get_by_label("Not ready only").check()
    watched.wait_for(f"{rows} === 2", "what is not ready")
    assert first_row(watched) == "S0007USDT"
    assert watched.complaints == []


def test_inspect_finds_series_behind_a_front_end_that_drops_the_query(watched: Watched) -> None:
    def without_query(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.partition("?")[0]))

    watched.page.route("**/streaming/status*", without_query)
    watched.open("/inspect")
    rows = "document.querySelectorAll('#series tr').length"
    watched.wait_for(f"{rows} === {ROWS}", "all series")
    watched.page.locator("#search").fill("eth 1m")
    watched.wait_for(f"{rows} === 1", "one")
    assert first_row(watched) == "ETHUSDT"


def test_inspect_shows_the_shard_of_each_series_if_there_are_several(watched: Watched) -> None:
    def with_shards(route: Route) -> None:
        status = route.fetch().json()
        for each in status["per_symbol"]:
            each["shard"] = shard_of(each["symbol"], 4)
        route.fulfill(json=status)

    watched.open("/inspect")
    watched.wait_for(f"document.querySelectorAll('#series tr').length === {ROWS}", "all series")
    assert not watched.page.locator("#shard").is_visible()
    watched.page.route("**/streaming/status*", with_shards)
    watched.page.locator("#shard").wait_for(state="visible")
    first = watched.page.locator("#series tr").first.locator("th, td").all_inner_texts()
    assert (first[0], first[12]) == ("BTCUSDT", "3")


def test_inspect_shows_that_the_feed_is_down(watched: Watched, exchange: Exchange) -> None:
    watched.open("/inspect")
    exchange.go_away()
    watched.wait_for("document.querySelector('#feed').textContent === 'down'", "it is down")
    assert "feed is down" in watched.text("#summary")
    assert watched.page.locator("#summary").get_attribute("class") == "bad"


def test_inspect_ws_shows_updates_newest_first_and_bounded(watched: Watched) -> None:
    watched.open("/inspect-ws")
    rows = "document.querySelector('#updates').rows"
    watched.wait_for(f"{rows}.length === 200", "two hundred rows")
    watched.page.wait_for_timeout(500)
    assert watched.page.evaluate(f"{rows}.length") == 200
    times = watched.page.evaluate(f"[...{rows}].map((row) => row.cells[1].textContent)")
    assert times == sorted(times, reverse=True)
    assert "updates a second" in watched.text("#rate")
    assert watched.text("#state") == "Live"
    assert watched.complaints == []


def test_inspect_ws_shows_any_series(watched: Watched) -> None:
    watched.open("/inspect-ws")
    watched.page.get_by_label("Symbol").select_option("ADAUSDT")
    watched.page.get_by_label("Interval").select_option("1d")
    watched.wait_for("document.querySelector('#updates').rows.length > 3", "updates")
    times = watched.page.evaluate(
        "[...document.querySelector('#updates').rows].map((row) => row.cells[1].textContent)"
    )
    assert {time[-5:] for time in times} == {"00:00"}
    assert watched.complaints == []


@pytest.mark.parametrize("others", [(), ("system",)])
def test_inspect_behind_a_front_end_that_proxies_little(
    browser: Browser, service: Service, others: tuple[str, ...]
) -> None:
    with (
        PrefixProxy(service.url, ["inspect", "streaming/status", *others]) as front_end,
        Watched(browser, front_end.url) as watched,
    ):
        watched.open(f"{PREFIX}inspect")
        watched.wait_for(f"document.querySelectorAll('#series tr').length === {ROWS}", "all series")
        watched.wait_for("document.querySelector('#summary').className === 'good'", "all is well")
        offered = "running" if others else "not offered here"
        watched.wait_for(
            f"document.querySelector('#actors').textContent.includes('{offered}')", offered
        )
        assert not [each for each in watched.complaints if "404" not in each]


def test_inspect_ws_behind_a_front_end_connects_to_its_backend(
    browser: Browser, service: Service
) -> None:
    sockets: list[str] = []
    with (
        PrefixProxy(service.url, ["inspect-ws", "streaming/status"]) as front_end,
        Watched(browser, front_end.url) as watched,
    ):
        watched.page.on("websocket", lambda socket: sockets.append(socket.url))
        watched.open(f"{PREFIX}inspect-ws")
        watched.wait_for("document.querySelector('#updates').rows.length > 3", "updates")
        assert sockets == [f"{service.url.replace('http', 'ws')}/ws/candles"]
        watched.wait_for(
            f"document.querySelectorAll('#symbol option').length === {len(SYMBOLS)}", "a choice"
        )
        assert watched.complaints == []
