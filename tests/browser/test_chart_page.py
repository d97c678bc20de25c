"""The chart page in use."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from playwright.sync_api import Browser

from .processes import INTERVALS, SYMBOLS, Service, eventually
from .watched import Watched

NUMBERS = ("time", "open", "high", "low", "close")


HOLD_A_KEY = """
new Promise((resolve) => {
  let times = 0;
  const timer = setInterval(() => {
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
    if (++times === 150) resolve(clearInterval(timer));
  }, 5);
})
"""


def numbers(text: str) -> float:
    return float(text.replace(",", ""))


def test_chart_shows_the_candles_of_the_api(watched: Watched, service: Service) -> None:
    watched.open_chart("?symbol=ETHUSDT&interval=1h")
    expected = service.candles("ETHUSDT", "1h")
    drawn = watched.drawn
    assert len(drawn) == len(expected) == 1000
    assert [{name: each[name] for name in NUMBERS} for each in expected[:-2]] == [
        {name: each[name] for name in NUMBERS} for each in drawn[:-2]
    ]
    assert watched.complaints == []


def test_last_price_follows_the_stream(watched: Watched, service: Service) -> None:
    watched.open_chart()
    watched.wait_for_state("Live")
    first = watched.text("#price")
    eventually(lambda: watched.text("#price") != first, "another price")

    # At one instant: prices change 30 times a second here.
    shown, held, drawn = watched.page.evaluate(
        "[document.querySelector('#price').textContent, smarttrade.candles.at(-1),"
        " smarttrade.chart.data.at(-1)]"
    )
    assert numbers(shown) == held["close"] == drawn["close"]

    def page_and_api_agree() -> bool:
        final = watched.held[-3]
        return final in service.candles("BTCUSDT", "1m")

    eventually(page_and_api_agree, "page and API have the same candles")
    row = watched.page.locator("#symbols li", has_text="BTCUSDT")
    assert re.fullmatch(
        r"BTCUSDT[\d,]+\.\d\d[+\u2212]?\d+\.\d\d%", row.inner_text().replace("\n", "")
    )
    assert watched.complaints == []


def test_new_candles_are_appended(watched: Watched) -> None:
    watched.open_chart("?symbol=ADAUSDT&interval=1m")
    before = len(watched.drawn)
    watched.wait_for(f"smarttrade.chart.data.length >= {before + 2}", "two more candles")
    times = [each["time"] for each in watched.drawn]
    assert {b - a for a, b in pairwise(times)} == {60}


def test_series_is_switched_by_pointer_keyboard_and_address(watched: Watched) -> None:
    watched.open_chart()
    page = watched.page
    page.get_by_role("button", name="5m").click()
    assert page.url.endswith("?symbol=BTCUSDT&interval=5m")
    page.keyboard.press("ArrowDown")
    watched.wait_for_text("#symbol", SYMBOLS[1])
    page.keyboard.press("4")
    assert page.url.endswith(f"?symbol={SYMBOLS[1]}&interval={INTERVALS[3]}")
    watched.wait_for("smarttrade.chart.data[0].time % 86400 === 0", "days are drawn")
    page.get_by_role("link", name="ADAUSDT").click()
    page.go_back()
    assert watched.text("#symbol") == SYMBOLS[1]
    page.reload()
    watched.wait_for("smarttrade.chart?.data[0]?.time % 86400 === 0", "days are drawn again")
    assert watched.text("#symbol") == SYMBOLS[1]
    pressed = page.locator("#intervals [aria-pressed=true]")
    assert pressed.all_inner_texts() == ["1d"]
    assert watched.complaints == []


def test_holding_a_key_does_not_exceed_the_request_limit(watched: Watched) -> None:
    """Requests are batched: a session with too many requests is closed."""
    watched.open_chart()
    watched.page.evaluate(HOLD_A_KEY)
    watched.wait_for("smarttrade.candles.length > 0", "candles")
    watched.wait_for_state("Live")
    assert watched.text("#symbol") == SYMBOLS[150 % len(SYMBOLS)]


def test_unknown_series_in_the_address_is_reported_and_another_shown(watched: Watched) -> None:
    watched.open_chart("?symbol=%3Cb%3ENOPE&interval=7m")
    assert watched.text("#notice") == "There is no <B>NOPE, 7m here."
    assert watched.text("#symbol") == "BTCUSDT"
    assert watched.complaints == []


def test_crosshair_names_the_candle_under_it(watched: Watched) -> None:
    watched.open_chart("?symbol=BTCUSDT&interval=1d")
    box = watched.page.locator(".chart").bounding_box()
    assert box is not None
    watched.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    newest = watched.held[-1]
    watched.wait_for(
        f"!document.querySelector('[data-field=time]').textContent.startsWith("
        f"new Date({newest['time']}000).toISOString().slice(0, 10))",
        "the legend names an older candle",
    )
    day = watched.text("[data-field=time]")[:10]
    [candle] = watched.page.evaluate(
        f"smarttrade.candles.filter(({{ time }}) => new Date(time * 1000).toISOString().startsWith('{day}'))"
    )
    assert numbers(watched.text("[data-field=open]")) == candle["open"]
    assert numbers(watched.text("[data-field=close]")) == candle["close"]


def test_table_has_the_same_candles(watched: Watched) -> None:
    watched.open_chart("?symbol=BTCUSDT&interval=1h")
    watched.page.get_by_role("button", name="Table").click()
    first = watched.page.locator("#rows tr").nth(1).locator("td").all_inner_texts()
    expected = watched.held[-2]
    assert [numbers(text) for text in first[1:5]] == [
        expected[name] for name in ("open", "high", "low", "close")
    ]


def test_without_the_chart_library_prices_and_tables_remain(watched: Watched) -> None:
    watched.page.route("**/lightweight-charts*", lambda route: route.abort())
    watched.open()
    watched.wait_for("document.querySelectorAll('#rows tr').length === 100", "a table")
    assert "could not be loaded" in watched.text("#notice")
    assert numbers(watched.text("#price")) > 0
    watched.page.keyboard.press("ArrowDown")
    watched.wait_for_text("#symbol", SYMBOLS[1])
    watched.wait_for("document.querySelectorAll('#rows tr').length === 100", "another table")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast(browser: Browser, service: Service, scheme: str) -> None:
    """4.5 to 1 (WCAG 2.2, 1.4.3) for every colour of text on every background."""
    with Watched(browser, service.url, color_scheme=scheme) as watched:
        watched.open_chart()
        colours = watched.page.evaluate(
            "Object.fromEntries(['ground', 'panel', 'hover', 'chosen', 'text', 'quiet', 'up', 'down',"
            " 'warn'].map((name) => [name, getComputedStyle(document.documentElement)"
            ".getPropertyValue(`--${name}`).trim()]))"
        )
    for ground in ("ground", "panel", "chosen"):
        for text in ("text", "quiet", "up", "down", "warn"):
            ratio = contrast(colours[ground], colours[text])
            assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_phone(browser: Browser, service: Service) -> None:
    size = {"width": 360, "height": 740}
    with Watched(browser, service.url, viewport=size, is_mobile=True, has_touch=True) as watched:
        watched.open_chart()
        page = watched.page
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        chart = page.locator(".chart").bounding_box()
        assert chart is not None
        assert chart["width"] == size["width"]
        assert chart["height"] > size["height"] / 2
        for button in page.locator("header button:visible").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 40
        page.locator("#symbols a").nth(1).tap()
        assert watched.text("#symbol") == SYMBOLS[1]
        assert watched.complaints == []


def test_everything_that_can_be_used_has_a_name(watched: Watched) -> None:
    watched.open_chart()
    for role in ("button", "link", "img", "region", "group", "navigation"):
        for element in watched.page.get_by_role(role).all():
            name = element.get_attribute("aria-label") or element.inner_text()
            assert name.strip(), f"a {role} without a name"
