"""What the chart page can be made to show, and that its address says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.fakes.ports import free_port

from .processes import SYMBOLS, Exchange, Service, eventually
from .watched import Watched

SIZES = [(360, 740), (740, 360), (844, 390), (768, 1024), (1024, 700), (1280, 760), (2560, 1400)]

MORE_INTERVALS = """
{
  const intervals = document.querySelector("#intervals");
  while (intervals.children.length < 16) intervals.append(intervals.firstChild.cloneNode(true));
}
"""

AFTER_TWO_FRAMES = """
new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))
"""

CLIPPED = """
[...document.querySelectorAll("button, a, input, summary, h1, #state, #age, dd")]
  .filter((each) => each.checkVisibility() && !each.closest("#intervals, #symbols, #day, #menu > div, #table, #panels:not([data-count='1'])"))
  .filter((each) => {
    const { left, right, top, bottom } = each.getBoundingClientRect();
    return left < 0 || right > innerWidth + 0.5 || top < 0 || bottom > innerHeight + 0.5
      || each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline"
      && !["INPUT"].includes(each.tagName);
  })
  .map((each) => each.outerHTML.slice(0, 100))
"""


def open_menu(watched: Watched) -> None:
    watched.page.locator("#menu summary").click()


def answer_details(watched: Watched, details: list[dict[str, Any]]) -> None:
    """What the exchange's listing says of symbols."""
    watched.page.route(
        "**/symbols?details=1",
        lambda route: route.fulfill(json={"symbols": [*SYMBOLS], "details": details}),
    )


@pytest.mark.parametrize(("decimals", "shown"), [(0, None), (1, 1), (5, 5), (None, 2)])
def test_prices_have_the_decimals_of_the_tick_size(
    watched: Watched, decimals: int | None, shown: int | None
) -> None:
    """Before the tick size is known, those that candles need."""
    answer_details(watched, [{"symbol": "BTCUSDT", "status": None, "decimals": decimals}])
    watched.open_chart()
    for price in ("#price", "#symbols .price", "[data-field=close]", "#day-high"):
        watched.wait_for(
            f"document.querySelector('{price}').textContent.split('.')[1]?.length"
            f" === {shown or 'undefined'}",
            f"{shown} decimals of {price}",
        )


@pytest.mark.parametrize("spelling", ["1D", "1d", "D"])
def test_interval_in_the_spelling_of_charts(watched: Watched, spelling: str) -> None:
    watched.open_chart(f"?symbol=ethusdt&interval={spelling}")
    assert watched.text("#notice") == ""
    assert watched.page.url.endswith("?symbol=ETHUSDT&interval=1d")


def test_address_tells_the_truth_when_it_named_nothing(watched: Watched) -> None:
    watched.open_chart("?symbol=NOPE&interval=7m&ma=20,foo")
    assert watched.text("#notice") == "There is no NOPE, 7m, foo here."
    assert watched.page.url.endswith("?symbol=BTCUSDT&interval=1m&ma=20")


def test_stepping_with_keys_leaves_one_history_entry(watched: Watched) -> None:
    watched.open_chart()
    entries = watched.page.evaluate("history.length")
    for _ in range(5):
        watched.page.keyboard.press("ArrowDown")
    watched.wait_for_text("#symbol", SYMBOLS[5 % len(SYMBOLS)])
    assert watched.page.evaluate("history.length") == entries
    watched.page.get_by_role("button", name="5m").click()
    assert watched.page.evaluate("history.length") == entries + 1


def test_shortcuts_work_with_caps_lock(watched: Watched) -> None:
    watched.open_chart()
    watched.page.keyboard.press("T")
    watched.page.locator("#view[data-shows=table]").wait_for()
    assert watched.page.locator("#view").get_attribute("data-shows") == "table"


def test_indicators_of_the_address_are_drawn_and_follow(watched: Watched) -> None:
    watched.open_chart("?interval=1h&ma=20,ema=50,vwap&rsi=14")
    watched.wait_for("smarttrade.chart.overlays?.points[0]?.length", "lines")
    held, *lines = watched.page.evaluate(
        "[smarttrade.candles, ...smarttrade.chart.overlays.points].map((each) => each.length)"
    )
    assert lines == [held - 19, held - 49, held, held - 14]
    assert watched.page.locator(".values span").count() == 4
    # The newest candle changes, and its mean with it: 20 closes of what the page holds.
    agree = (
        "(() => { const closes = smarttrade.candles.slice(-20).map(({ close }) => close);"
        " const mean = closes.reduce((sum, each) => sum + each) / 20;"
        " return Math.abs(smarttrade.chart.overlays.points[0].at(-1).value - mean) < 1e-6 * mean; })()"
    )
    before = watched.page.evaluate("smarttrade.candles.at(-1).close")
    watched.wait_for(f"smarttrade.candles.at(-1).close !== {before}", "another price")
    assert watched.page.evaluate(agree)
    assert watched.complaints == []


def test_menu_changes_view_and_address(watched: Watched) -> None:
    watched.open_chart()
    open_menu(watched)
    for name in ("MA 20", "RSI 14", "Log"):
        watched.page.get_by_role("button", name=name, exact=True).click()
    assert watched.page.url.endswith("&ma=20&rsi=14&scale=log")
    assert watched.page.locator(".values span").count() == 2
    watched.page.get_by_role("button", name="MA 20", exact=True).click()
    assert watched.page.url.endswith("&rsi=14&scale=log")
    watched.page.keyboard.press("Escape")
    assert not watched.page.locator("#indicators").is_visible()
    assert watched.complaints == []


def test_fourth_overlay_replaces_the_oldest(watched: Watched) -> None:
    watched.open_chart("?ma=5,9,20")
    open_menu(watched)
    watched.page.get_by_role("button", name="VWAP").click()
    assert watched.page.url.endswith("&ma=9,ma=20,vwap")


def test_local_time_is_chosen_and_remembered(browser: Browser, service: Service) -> None:
    with Watched(browser, service.url, timezone_id="Asia/Kolkata") as watched:
        watched.open_chart()
        zone, time = "[data-field=zone]", "[data-field=time]"
        assert watched.text(zone) == "UTC"
        open_menu(watched)
        watched.page.get_by_role("button", name="Local").click()
        assert watched.text(zone) == "UTC+5:30"
        watched.page.reload()
        watched.wait_for("globalThis.smarttrade?.candles.length > 0", "candles")
        assert watched.text(zone) == "UTC+5:30"
        newest = watched.page.evaluate("smarttrade.candles.at(-1).time")
        shown = watched.page.evaluate(
            f"Date.parse('{watched.text(time)}Z'.replace(' ', 'T')) / 1000"
        )
        assert 0 <= shown - newest - 19800 <= 120
        assert watched.complaints == []


def test_grid_of_charts_is_in_the_address(watched: Watched) -> None:
    watched.open_chart()
    open_menu(watched)
    watched.page.get_by_role("button", name="2", exact=True).click()
    panels = watched.page.locator(".panel")
    assert panels.count() == 2
    assert watched.page.url.endswith(f"&more={SYMBOLS[1]}:1m")
    panels.nth(1).click()
    assert watched.text("#symbol") == SYMBOLS[1]
    watched.page.get_by_role("button", name="1d").click()
    assert watched.page.url.endswith(f"?symbol=BTCUSDT&interval=1m&more={SYMBOLS[1]}:1d")
    watched.page.reload()
    watched.wait_for("document.querySelectorAll('.panel canvas').length > 0", "charts")
    names = watched.page.locator("[data-field=series]").all_inner_texts()
    assert names == ["BTCUSDT 1m", f"{SYMBOLS[1]} 1d"]
    assert watched.complaints == []


def test_search_finds_a_symbol(watched: Watched) -> None:
    watched.open_chart()
    watched.page.keyboard.press("/")
    watched.wait_for("document.activeElement.id === 'search'", "the search field")
    watched.page.keyboard.type("ada")
    hidden = "document.querySelectorAll('#symbols li[hidden]').length"
    watched.wait_for(f"{hidden} === {len(SYMBOLS) - 1}", "one symbol")
    visible = watched.page.locator("#symbols li:visible .symbol").all_inner_texts()
    assert visible == ["ADAUSDT"]
    watched.page.keyboard.press("Enter")
    assert watched.text("#symbol") == "ADAUSDT"
    watched.page.keyboard.press("/")
    watched.page.keyboard.press("Escape")
    assert watched.page.locator("#symbols li:visible").count() == len(SYMBOLS)


def test_chart_is_moved_by_keys_and_says_where_candles_end(watched: Watched) -> None:
    watched.open_chart("?interval=1d")
    now, edge = watched.page.locator(".to-now"), watched.page.locator(".edge")
    assert not now.is_visible()
    assert not edge.is_visible()
    watched.page.keyboard.press("ArrowLeft")
    now.wait_for(state="visible")
    watched.page.keyboard.press("Home")
    edge.wait_for(state="visible")
    first = watched.page.evaluate(
        "new Date(smarttrade.candles[0].time * 1000).toISOString().slice(0, 10)"
    )
    assert edge.inner_text().startswith(f"Candles begin at {first} UTC")
    now.click()
    now.wait_for(state="hidden")
    assert watched.complaints == []


FULL_SCREEN = "document.fullscreenElement === document.documentElement"


def test_page_takes_the_whole_screen_and_gives_it_back(watched: Watched) -> None:
    watched.open_chart()
    watched.page.keyboard.press("f")
    watched.wait_for(FULL_SCREEN, "the whole screen")
    watched.page.keyboard.press("f")
    watched.wait_for("document.fullscreenElement === null", "a window")
    open_menu(watched)
    watched.page.get_by_role("button", name="Full screen").click()
    watched.wait_for(FULL_SCREEN, "the whole screen again")
    assert watched.complaints == []


def test_browser_that_allows_no_full_screen_says_so(watched: Watched) -> None:
    watched.open_chart()
    watched.page.evaluate(
        "void (Element.prototype.requestFullscreen = () => Promise.reject(new Error('no')))"
    )
    watched.page.keyboard.press("f")
    watched.wait_for_text("#notice", "This browser allows no full screen.")


def test_picture_is_saved(watched: Watched, tmp_path: Path) -> None:
    watched.open_chart("?symbol=ETHUSDT&interval=1h&ma=20")
    open_menu(watched)
    with watched.page.expect_download() as download:
        watched.page.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "ETHUSDT-1h.png"
    download.value.save_as(tmp_path / "chart.png")
    content = (tmp_path / "chart.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000
    assert watched.complaints == []


def test_day_is_that_of_the_candles(watched: Watched, service: Service) -> None:
    watched.open_chart("?symbol=ETHUSDT&interval=1d")

    def is_right() -> bool:
        # Of these intervals 1h is the shortest that covers a day in at most 100 candles.
        day = service.candles("ETHUSDT", "1h")[-24:]
        high, low = max(each["high"] for each in day), min(each["low"] for each in day)
        return [watched.text("#day-high"), watched.text("#day-low")] == [
            f"{high:,.2f}",
            f"{low:,.2f}",
        ]

    eventually(is_right, "high and low of 24 hours")
    watched.wait_for("document.querySelector('#left').textContent.includes(':')", "a countdown")


@pytest.mark.parametrize("status", ["HALT", "BREAK"])
def test_halted_symbol_is_named_everywhere(watched: Watched, status: str) -> None:
    details = [
        {"symbol": each, "status": status if each == "ETHUSDT" else "TRADING", "decimals": 3}
        for each in SYMBOLS
    ]
    answer_details(watched, details)
    watched.open_chart("?symbol=ETHUSDT")
    watched.wait_for_state("Halted")
    assert watched.page.title().startswith("HALTED ETHUSDT")
    assert status in watched.text(".note")
    row = watched.page.locator("#symbols li", has_text="ETHUSDT")
    assert "HALTED" in row.inner_text()
    watched.page.keyboard.press("ArrowUp")
    watched.wait_for_state("Live")
    assert not watched.page.locator(".note").is_visible()


def test_symbol_that_the_exchange_halts_is_named(browser: Browser) -> None:
    with Exchange(free_port()) as exchange:
        exchange.halt("ETHUSDT")
        with (
            Service(free_port(), exchange, until="/ready?for=traffic") as service,
            Watched(browser, service.url) as watched,
        ):
            watched.open_chart("?symbol=ETHUSDT&more=BTCUSDT:1m")
            watched.wait_for_state("Halted")
            assert watched.page.title() == "HALTED ETHUSDT 1m · SmartTrade"
            assert watched.page.locator(".note:visible").all_inner_texts() == [
                "HALTED: the exchange does not trade ETHUSDT (HALT)"
            ]
            assert "HALTED" in watched.page.locator("#symbols li", has_text="ETHUSDT").inner_text()
            watched.page.locator(".panel").nth(1).click()
            watched.wait_for_state("Live")


def test_prices_have_the_decimals_of_the_server_s_tick_size(
    watched: Watched, service: Service
) -> None:
    details = httpx.get(f"{service.url}/symbols?details=1").raise_for_status().json()["details"]
    assert len({each["decimals"] for each in details}) > 1
    for each in details:
        watched.open_chart(f"?symbol={each['symbol']}")
        for price in ("#price", "[data-field=low]", "#symbols [aria-current] .price"):
            shown = watched.text(price)
            assert len(shown.partition(".")[2]) == each["decimals"], (price, shown)


@pytest.mark.parametrize(
    "path",
    [
        "/?ma=20,ema=50,vwap",
        "/?more=ETHUSDT:1m,ADAUSDT:1m,BTCUSDT:1h",
        "/inspect",
        "/inspect-ws",
        "/docs",
    ],
)
def test_nothing_is_cut_at_any_size(watched: Watched, path: str) -> None:
    watched.open(path)
    watched.page.wait_for_timeout(700)
    if path.startswith("/?"):
        watched.page.evaluate(MORE_INTERVALS)
    for width, height in SIZES:
        watched.page.set_viewport_size({"width": width, "height": height})
        watched.page.evaluate(AFTER_TWO_FRAMES)
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        if path.startswith("/?"):
            assert watched.page.evaluate(CLIPPED) == [], width


WEIGHT = """
performance.getEntriesByType("resource")
  .filter(({ name }) => /static\\/[^/]+\\.(js|css)$/.test(name))
  .map(({ name, decodedBodySize }) => [name.split("/").at(-1), decodedBodySize])
"""


def test_page_is_light(watched: Watched) -> None:
    """At most 60 KB of scripts and styles of our own, uncompressed, until more is wanted."""
    watched.open_chart()
    watched.wait_for_state("Live")
    sizes = dict(watched.page.evaluate(WEIGHT))
    assert {"app.js", "app.css", "smarttrade-client.js"} <= set(sizes)
    assert all(sizes.values())
    assert sum(sizes.values()) <= 60_000, sizes
