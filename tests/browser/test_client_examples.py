"""The examples of the npm package draw live candles, each with its library, in a real browser.

Slow: libraries and a bundler come from the package registry.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[test]'"
)

from playwright.sync_api import Browser

from .processes import Service, eventually
from .test_documented_examples import front_end
from .watched import Watched

PACKAGE = Path(__file__).parents[2] / "clients" / "js"
LIBRARIES = (
    "esbuild@0.28.2",
    "klinecharts@10.0.2",
    "lightweight-charts@5.2.1",
    "react@19.3.1",
    "react-dom@19.3.1",
)
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>#chart { height: 500px }</style><div id="chart"></div><script src="main.js"></script>"""

# Keeps the series that are drawn, for the test to look at.
RECORDING = """
import * as library from "./node_modules/lightweight-charts";
export * from "./node_modules/lightweight-charts";
export function createChart(...all) {
  const chart = library.createChart(...all);
  const addSeries = chart.addSeries.bind(chart);
  chart.addSeries = (kind, options) => {
    globalThis.options = options;
    return (globalThis.drawn = addSeries(kind, options));
  };
  return chart;
}
"""

ENTRIES = {
    "lightweight-charts": """
import { showCandles } from "./lightweight-charts";
showCandles(document.getElementById("chart"), "ADAUSDT", "1m");
""",
    "klinecharts": """
import { init } from "klinecharts";
import { showMinutes } from "./klinecharts";
const element = document.getElementById("chart");
showMinutes(element, "ADAUSDT").then(() => {
  const chart = init(element); // the same one again
  globalThis.drawn = {
    data: () => chart.getDataList().map(({ timestamp, ...values }) => ({ time: timestamp / 1000, ...values })),
  };
  globalThis.decimals = chart.getSymbol().pricePrecision;
});
""",
    "react": """
import { createElement, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { fetchSymbols } from "smarttrade-client";
import { CandleChart, useSmartTrade } from "./react";

function Page() {
  const [client, state] = useSmartTrade("ws://127.0.0.1:8000/ws/candles");
  const [details, setDetails] = useState(null);
  useEffect(() => {
    fetchSymbols("http://127.0.0.1:8000").then((all) => setDetails(all.find(({ symbol }) => symbol === "ADAUSDT")));
  }, []);
  globalThis.phase = state?.phase;
  return client && details ? createElement(CandleChart, { client, details, interval: "1m" }) : null;
}

createRoot(document.getElementById("chart")).render(createElement(Page));
""",
}
DECIMALS = {
    "lightweight-charts": "options.priceFormat.precision",
    "klinecharts": "decimals",
    "react": "options.priceFormat.precision",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm"),
]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A front end that has installed the package and the libraries."""
    directory = tmp_path_factory.mktemp("front-end")
    packed = ("npm", "pack", "--silent", "--pack-destination", str(directory))
    archive = run(*packed, cwd=PACKAGE).strip()
    (directory / "package.json").write_text('{"type": "module"}', "utf-8")
    quietly = ("--no-audit", "--no-fund", "--silent")
    run("npm", "install", *quietly, f"./{archive}", *LIBRARIES, cwd=directory)
    (directory / "recording.js").write_text(RECORDING, "utf-8")
    return directory


@pytest.mark.parametrize("name", ENTRIES)
def test_example(
    name: str, project: Path, browser: Browser, service: Service, tmp_path: Path
) -> None:
    host = service.url.removeprefix("http://")
    [source] = (PACKAGE / "examples").glob(f"{name}.ts*")
    example = source.read_text("utf-8").replace("127.0.0.1:8000", host)
    (project / source.name).write_text(example, "utf-8")
    entry = ENTRIES[name].replace("127.0.0.1:8000", host)
    (project / f"{name}-page.js").write_text(entry, "utf-8")
    run(
        *("npx", "esbuild", f"{name}-page.js", "--bundle", f"--outfile={tmp_path}/main.js"),
        *("--jsx=automatic", "--alias:lightweight-charts=./recording.js"),
        cwd=project,
    )
    with front_end(tmp_path, {"index.html": PAGE}) as url, Watched(browser, url) as watched:
        watched.open("/")
        watched.wait_for("globalThis.drawn?.data().length >= 500", "candles are drawn")
        assert watched.page.evaluate(DECIMALS[name]) == 4
        began: int = watched.page.evaluate("drawn.data().at(-1).time")
        watched.wait_for(f"drawn.data().at(-1).time >= {began + 120}", "two candles later")

        def agrees() -> bool:
            truth = {each["time"]: each["close"] for each in service.candles("ADAUSDT", "1m")}
            drawn = watched.page.evaluate("drawn.data().slice(-100, -1)")
            return all(truth[each["time"]] == each["close"] for each in drawn)

        eventually(agrees, "what is drawn is what the server has")
        assert watched.page.locator("canvas").count() > 0
        # Some have `init` again where a chart is, which returns that one, and warns.
        again = "The chart has been initialized on the dom"
        assert [each for each in watched.complaints if again not in each] == []
