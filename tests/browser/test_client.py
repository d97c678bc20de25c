"""The client module alone, with a server in JavaScript and a clock that tests advance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

URL = "http://client.test/"
START = 1_733_007_600  # seconds

SCENE = """
window.sockets = [];
window.callbacks = [];
window.WebSocket = class {
  readyState = 0;
  sent = [];
  constructor(url) { sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; this.isClosed = true; }
  open(heartbeat = 5) {
    this.readyState = 1;
    this.receive({ type: "welcome", heartbeat, limits: {} });
  }
  receive(message) { this.onmessage({ data: JSON.stringify(message) }); }
  end(code, reason = "") { this.readyState = 3; this.onclose({ code, reason }); }
};
window.last = () => sockets.at(-1);
window.bar = (minute, close = 1) =>
  ({ time: START + 60 * minute, open: 1, high: 2, low: 0.5, close, volume: 3 });
window.bars = (from, to) => Array.from({ length: to - from + 1 }, (_, each) => bar(from + each));
window.snapshot = (from, to, truncated = false) => last().receive(
  { type: "snapshot", symbol: "BTCUSDT", interval: "1m", candles: bars(from, to), closed: false, truncated });
window.update = (minute, close = 1, more = {}) => last().receive(
  { type: "candle", symbol: "BTCUSDT", interval: "1m", candle: bar(minute, close), closed: false, ...more });
window.minutes = (candles) => candles.map(({ time }) => (time - START) / 60);
window.watcher = {
  snapshot: 3,
  onReset: (candles) => callbacks.push(["reset", minutes(candles)]),
  onUpdate: (candle) => callbacks.push(["update", minutes([candle])[0]]),
  onCorrect: (candle) => callbacks.push(["correct", minutes([candle])[0]]),
};
""".replace("START", str(START))

CONNECT = """
import("/smarttrade-client.js").then((module) => {
  window.module = module;
  window.client = new module.SmartTradeClient("ws://client.test/");
  window.leave = client.subscribe("BTCUSDT", "1m", watcher);
})
"""


@pytest.fixture(scope="module")
def empty_page(browser: Browser) -> Iterator[Page]:
    """A page to load the module into; its clock does not advance by itself."""
    module = (files("smarttrade.web") / "static" / "smarttrade-client.js").read_text("utf-8")

    def answer(route: Route) -> None:
        is_module = route.request.url.endswith(".js")
        route.fulfill(
            body=module if is_module else "<!doctype html>",
            content_type="text/javascript" if is_module else "text/html",
        )

    context = browser.new_context()
    page = context.new_page()
    page.route(f"{URL}**", answer)
    page.clock.install(time=0)
    page.goto(URL)
    page.clock.pause_at(1)
    yield page
    context.close()


@pytest.fixture
def page(empty_page: Page) -> Page:
    """A page whose client has just started to connect."""
    empty_page.goto(URL)
    empty_page.evaluate(SCENE)
    empty_page.evaluate(CONNECT)
    return empty_page


def callbacks(page: Page) -> Any:
    """The callbacks since the last call."""
    return page.evaluate("callbacks.splice(0)")


def last_request(page: Page) -> Any:
    return page.evaluate("last().sent.at(-1).subscriptions[0]")


def test_asks_for_a_snapshot_and_delivers_candles_in_order(page: Page) -> None:
    page.evaluate("last().open()")
    assert last_request(page) == {"symbol": "BTCUSDT", "interval": "1m", "snapshot": 3}
    page.evaluate("update(9); snapshot(1, 3); update(3, 1.5); update(4)")
    assert callbacks(page) == [["reset", [1, 2, 3]], ["update", 3], ["update", 4]]


def test_series_in_other_spellings_is_the_same_series(page: Page) -> None:
    page.evaluate("last().open(); leave()")
    page.evaluate("void client.subscribe(' btcusdt', '1D', watcher)")
    page.evaluate("void client.subscribe('BTCUSDT', '1d', watcher)")
    page.clock.run_for(300)
    sent = page.evaluate("last().sent.at(-1).subscriptions")
    assert [(each["symbol"], each["interval"]) for each in sent] == [("BTCUSDT", "1d")]
    callbacks(page)
    page.evaluate("""last().receive({ type: "snapshot", symbol: "BTCUSDT", interval: "1d",
        candles: [bar(1)], closed: false, truncated: false })""")
    assert callbacks(page) == [["reset", [1]]]


def test_month_is_not_a_minute(page: Page) -> None:
    page.evaluate("last().open(); void client.subscribe('BTCUSDT', '1M', watcher)")
    page.clock.run_for(300)
    sent = page.evaluate("last().sent.at(-1).subscriptions")
    assert "1M" in [each["interval"] for each in sent]


def test_past_candle_is_a_correction(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3); update(5)")
    callbacks(page)
    page.evaluate("update(2, 1.7, { closed: true, corrected: true })")
    assert callbacks(page) == [["correct", 2]]
    page.evaluate("update(4, 1.7, { closed: true, corrected: true })")
    assert callbacks(page) == [["reset", [1, 2, 3, 4, 5]]], "a gap is filled by a reset"
    page.evaluate("update(-7, 1.7, { closed: true, corrected: true })")
    assert callbacks(page) == [], "alone before the oldest it would look like a gap"


def test_resumes_with_the_newest_time_that_it_has(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3); last().end(1001)")
    page.clock.run_for(600)
    page.evaluate("last().open()")
    request = {"symbol": "BTCUSDT", "interval": "1m", "since": START + 180}
    assert last_request(page) == request
    callbacks(page)
    page.evaluate("snapshot(3, 5)")
    assert callbacks(page) == [["update", 3], ["update", 4], ["update", 5]]


def test_resumes_before_a_gap_so_that_it_is_filled(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3); update(6); last().end(1006)")
    page.clock.run_for(600)
    page.evaluate("last().open()")
    assert last_request(page)["since"] == START + 180
    callbacks(page)
    page.evaluate("snapshot(3, 7)")
    assert callbacks(page) == [["reset", [1, 2, 3, 4, 5, 6, 7]]]


def test_truncated_snapshot_replaces_everything(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3); last().end(1006)")
    page.clock.run_for(600)
    page.evaluate("last().open()")
    callbacks(page)
    page.evaluate("snapshot(50, 52, true)")
    assert callbacks(page) == [["reset", [50, 51, 52]]]


def test_pauses_grow_and_are_bounded(page: Page) -> None:
    pauses = []
    for _ in range(12):
        page.evaluate("last().end(1006)")
        state = page.evaluate("({ ...client.state, now: Date.now() })")
        assert state["phase"] == "waiting"
        pauses.append(math.ceil(state["retryAt"] - state["now"]))
        page.clock.run_for(pauses[-1] + 1)
    longest = [min(30_000, 500 * 2**attempt) for attempt in range(12)]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))


@pytest.mark.parametrize("code", [1008, 1009])
def test_does_not_reconnect_after_a_final_close_code(page: Page, code: int) -> None:
    page.evaluate(f"last().open(); last().end({code}, 'too many requests')")
    assert page.evaluate("[client.state.phase, client.state.reason]") == [
        "ended",
        "too many requests",
    ]
    page.clock.run_for(120_000)
    assert page.evaluate("sockets.length") == 1


def test_reconnects_later_to_an_overloaded_server(page: Page) -> None:
    page.evaluate("last().open(); last().end(1013)")
    page.clock.run_for(4_900)
    assert page.evaluate("sockets.length") == 1
    page.clock.run_for(300)
    assert page.evaluate("sockets.length") == 2


def test_silence_beyond_the_heartbeat_is_a_lost_connection(page: Page) -> None:
    page.evaluate("last().open(5)")
    for _ in range(6):
        page.clock.run_for(5000)
        page.evaluate("last().receive({ type: 'heartbeat', time: 1 })")
    assert page.evaluate("sockets.length") == 1
    page.clock.run_for(16_000)
    assert page.evaluate("[sockets.length, sockets[0].isClosed]") == [2, True]


def test_handshake_without_an_answer_times_out(page: Page) -> None:
    page.clock.run_for(11_000)
    assert page.evaluate("sockets.length") == 2


def test_events_of_a_dropped_connection_are_ignored(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3)")
    page.clock.run_for(60_000)
    callbacks(page)
    assert page.evaluate("sockets[0].onmessage === null && sockets[0].onclose === null")


def test_network_that_is_back_is_used_immediately(page: Page) -> None:
    page.evaluate("for (let i = 0; i < 1; i++) last().end(1006)")
    page.evaluate("dispatchEvent(new Event('online'))")
    assert page.evaluate("sockets.length") == 2


def test_resubscribing_immediately_requests_again(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3); leave()")
    page.evaluate("void client.subscribe('BTCUSDT', '1m', watcher)")
    page.clock.run_for(300)
    assert last_request(page)["snapshot"] == 3
    assert page.evaluate("last().sent.map(({ action }) => action)") == ["subscribe", "subscribe"]


def test_unsubscribes_series_without_watchers(page: Page) -> None:
    page.evaluate("last().open(); leave()")
    page.clock.run_for(300)
    assert page.evaluate("last().sent.at(-1)") == {
        "action": "unsubscribe",
        "subscriptions": [{"symbol": "BTCUSDT", "interval": "1m"}],
    }


def test_second_watcher_of_a_series_gets_its_own_reset(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3)")
    callbacks(page)
    page.evaluate("void client.subscribe('BTCUSDT', '1m', { ...watcher, snapshot: 5 }); update(4)")
    assert callbacks(page) == [["update", 4]], "only the first one has anything to update"
    page.clock.run_for(300)
    assert last_request(page)["snapshot"] == 5
    page.evaluate("snapshot(0, 4)")
    assert callbacks(page) == [["reset", [0, 1, 2, 3, 4]]] * 2


def test_unknown_messages_and_series_are_ignored(page: Page) -> None:
    page.evaluate("last().open(); snapshot(1, 3)")
    callbacks(page)
    page.evaluate("last().receive({ type: 'news' })")
    page.evaluate("update(4, 1, { symbol: 'OTHER' })")
    assert callbacks(page) == []


def test_list_is_bounded(page: Page) -> None:
    found = page.evaluate(
        "(() => { const list = new module.CandleList('1m', 100); let resets = 0; let most = 0;"
        "for (let i = 0; i < 10000; i++) { resets += list.put(bar(i)) === 'reset';"
        "most = Math.max(most, list.candles.length); }"
        "return [most, resets, minutes(list.candles.slice(-1))[0]]; })()"
    )
    assert found == [125, 380, 9999]


def test_closed_client_stays_closed(page: Page) -> None:
    page.evaluate("last().open(); client.close(); dispatchEvent(new Event('online'))")
    page.clock.run_for(60_000)
    assert page.evaluate("[sockets.length, client.state.phase]") == [1, "ended"]
