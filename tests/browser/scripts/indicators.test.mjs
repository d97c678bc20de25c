import assert from "node:assert/strict";
import { test } from "node:test";
import { Indicator } from "../../../smarttrade/web/static/indicators.js";
import { CandleList } from "../../../smarttrade/web/static/smarttrade-client.js";

const MIDNIGHT = 1733011200; // 2024-12-01T00:00Z
const bar = (minute, close, volume = 1) => ({ time: MIDNIGHT + 60 * minute, open: close, high: close, low: close, close, volume });
const values = (spec, closes) => new Indicator(spec).reset(closes.map((close, minute) => bar(minute, close))).map(({ value }) => value);
const near = (found, expected) => found.forEach((value, index) => assert.ok(Math.abs(value - expected[index]) < 1e-3, `${value} ${expected[index]}`));

test("moving average", () => {
  assert.deepEqual(values("ma=3", [1, 2, 3, 4, 9]), [undefined, undefined, 2, 3, 16 / 3]);
});

test("exponential moving average begins with the plain mean", () => {
  assert.deepEqual(values("ema=3", [1, 2, 3, 5, 7]), [undefined, undefined, 2, 3.5, 5.25]);
});

test("relative strength index as in Wilder's worked example", () => {
  // The table of StockCharts' ChartSchool, "Relative Strength Index", cs-rsi.xls.
  const closes = [
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
    46.0328, 45.614, 46.282, 46.282, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
  ];
  const found = values("rsi=14", closes);
  assert.equal(found.slice(0, 14).every((value) => value === undefined), true);
  near(found.slice(14), [70.5328, 66.3186, 66.5498, 69.4063, 66.3552, 57.9749]);
  assert.deepEqual(values("rsi=2", [5, 5, 5]).at(-1), 50);
});

test("mean price by volume begins anew at midnight UTC, and says since when it counts", () => {
  const indicator = new Indicator("vwap");
  const candles = [bar(-2, 10, 1), bar(-1, 20, 3), bar(0, 30, 2), bar(1, 60, 1), bar(2, 1, 0)];
  assert.deepEqual(indicator.reset(candles).map(({ value }) => value), [10, 17.5, 30, 40, 40]);
  assert.equal(indicator.since, MIDNIGHT);
  indicator.reset(candles.slice(0, 2));
  assert.equal(indicator.since, MIDNIGHT - 120);
});

test("candles without any volume have no such price", () => {
  assert.deepEqual(new Indicator("vwap").reset([bar(0, 7, 0)]), [{ time: MIDNIGHT }]);
});

/** Numbers that are the same at each run. */
function numbers(seed) {
  return () => (seed = (seed * 48271) % 2147483647) / 2147483647;
}

test("after any updates, corrections and resets, what is shown is what all candles give", () => {
  const random = numbers(7);
  const specs = ["ma=5", "ema=7", "vwap", "rsi=6"];
  for (const spec of specs) {
    const list = new CandleList("1m", 50);
    const shown = new Indicator(spec);
    let points = [];
    for (let step = 0; step < 2000; step++) {
      const newest = list.newest ? (list.newest.time - MIDNIGHT) / 60 : 0;
      const minute = random() < 0.1 ? newest - Math.floor(random() * 30) : newest + Math.floor(random() * 2);
      const candle = bar(minute, 1 + random(), Math.floor(3 * random()));
      const effect = list.put(candle);
      if (effect === "update") {
        const point = shown.update(candle);
        if (points.at(-1)?.time === point.time) points.pop();
        points.push(point);
      } else if (effect !== "ignore") points = shown.reset(list.candles);
      assert.deepEqual(points, new Indicator(spec).reset(list.candles));
    }
  }
});
