"""The examples for front ends in the documentation work in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[test]'"
)

from playwright.sync_api import Browser, Route

from smarttrade.web.pages.chart_library import ChartLibrary
from tests.docs.blocks import example
from tests.docs.test_examples import placed, saved

from .processes import Service
from .watched import Watched

LIBRARY = ChartLibrary.declared()
CLIENT = files("smarttrade.web") / "static" / "smarttrade-client.js"

KEEP_WHAT_IS_DRAWN = """
;(() => {
  const { createChart } = LightweightCharts;
  globalThis.LightweightCharts = { ...LightweightCharts, createChart: (...all) => {
    const chart = createChart(...all);
    const addSeries = chart.addSeries.bind(chart);
    chart.addSeries = (...kind) => (globalThis.drawn = addSeries(...kind));
    return chart;
  } };
})();
"""

AS_A_MODULE = "export const { createChart, CandlestickSeries } = LightweightCharts;"

EMPTY = '<!doctype html><meta charset="utf-8" /><link rel="icon" href="data:," /><body>'

BUILT = f"""{EMPTY}
<script src="/library.js"></script>
<script type="importmap">{{ "imports": {{ "lightweight-charts": "/lightweight-charts.js" }} }}</script>
<script type="module" src="/series.js"></script>
"""


@pytest.fixture
def library() -> str:
    """The chart library, with a record of what it draws."""
    bundled = LIBRARY.bundled(files("smarttrade.web") / "static")
    if bundled is None:
        pytest.skip("the chart library is not bundled: there was no npm at the installation")
    return bundled.decode() + KEEP_WHAT_IS_DRAWN


def assert_follows(watched: Watched, service: Service) -> None:
    """The chart shows the service's candles and grows."""
    watched.wait_for("globalThis.drawn?.data().length >= 500", "candles are drawn")
    newest = "drawn.data().at(-1).time"
    began: int = watched.page.evaluate(newest)
    watched.wait_for(f"{newest} >= {began + 120}", "two candles later")
    final, newest_drawn = watched.page.evaluate("[drawn.data().slice(0, -1), drawn.data().at(-1)]")
    truth = {candle["time"]: candle for candle in service.candles("BTCUSDT", "1m")}
    assert newest_drawn["time"] in truth
    for candle in final:
        assert truth[candle["time"]].items() >= {
            (name, candle[name]) for name in ("time", "open", "high", "low", "close")
        }
    assert watched.complaints == []


def test_page_of_ones_own_shows_live_candles(
    browser: Browser, service: Service, library: str, tmp_path: Path
) -> None:
    file = saved(tmp_path, "chart.html", service.url)
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(body=library, content_type="text/javascript")

    with Watched(browser, "") as watched:
        watched.page.route(re.compile("^https:"), answer)
        watched.open(file.as_uri())
        assert_follows(watched, service)
    assert asked == [LIBRARY.public_address]


@contextmanager
def front_end(directory: Path, files_of_it: dict[str, str]) -> Iterator[str]:
    """Another web server on this machine; its URL."""
    for name, text in files_of_it.items():
        (directory / name).write_text(text, "utf-8")
    handler = partial(Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
        pass


def test_series_of_a_built_front_end_follows(
    browser: Browser, service: Service, library: str, tmp_path: Path
) -> None:
    built = {
        "index.html": BUILT,
        "library.js": library,
        "lightweight-charts.js": AS_A_MODULE,
        "smarttrade-client.js": CLIENT.read_text("utf-8"),
        "series.js": placed(example("series.js").text, service.url),
    }
    with front_end(tmp_path, built) as url, Watched(browser, url) as watched:
        printed: list[str] = []
        watched.page.on("console", lambda message: printed.append(message.text))
        watched.open("/")
        assert_follows(watched, service)
        assert "open live" in printed


def test_minimal_example_prints_candles_to_the_console(
    browser: Browser, service: Service, tmp_path: Path
) -> None:
    saved(tmp_path, "least.js", service.url)
    page = {"index.html": f'{EMPTY}<script src="/least.js"></script>'}
    with front_end(tmp_path, page) as url, Watched(browser, url) as watched:
        printed: list[str] = []
        watched.page.on("console", lambda message: printed.append(message.text))
        watched.open("/")
        while len(printed) < 5:
            watched.page.wait_for_event("console", timeout=20_000)
    assert all(re.fullmatch(r"\d+ [\d.]+ (true|false)", line) for line in printed)
