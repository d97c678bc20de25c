import assert from "node:assert/strict";
import { test } from "node:test";
import { findInterval, readAddress, writeAddress } from "../../../smarttrade/web/static/address.js";
import { parseIndicators } from "../../../smarttrade/web/static/indicators.js";

const market = { symbols: ["BTCUSDT", "ETHUSDT", "币安人生USDT"], intervals: ["1m", "1h", "1d", "1w", "1M"] };

test("intervals in the spellings of charts; a month is never a minute", () => {
  const spellings = { "1m": "1m", "1M": "1M", "1H": "1h", "1D": "1d", D: "1d", "1W": "1w", W: "1w" };
  for (const [text, interval] of Object.entries(spellings)) assert.equal(findInterval(text, market.intervals), interval);
  for (const text of ["7m", "", "1X", "constructor"]) assert.equal(findInterval(text, market.intervals), undefined);
  assert.equal(findInterval("1M", ["1m"]), undefined);
});

test("an address says what is shown, and is read back the same", () => {
  const search = "?symbol=ethusdt&interval=1D&more=BTCUSDT:1H,ETHUSDT&ma=20,ema=50,vwap&rsi=14&scale=log";
  const view = readAddress(search, market);
  assert.deepEqual(view, {
    series: [
      { symbol: "ETHUSDT", interval: "1d" },
      { symbol: "BTCUSDT", interval: "1h" },
      { symbol: "ETHUSDT", interval: "1d" },
    ],
    indicators: "ma=20,ema=50,vwap,rsi=14",
    scale: "log",
    problems: [],
  });
  const shown = { ...view, ...parseIndicators(view.indicators, []) };
  assert.deepEqual(readAddress(writeAddress(shown), market), view);
});

test("an address without anything shows the first series", () => {
  const view = readAddress("", market);
  assert.deepEqual(view.series, [{ symbol: "BTCUSDT", interval: "1m" }]);
  assert.equal(view.indicators, "");
  assert.equal(writeAddress({ ...view, overlays: [], rsi: null }), "?symbol=BTCUSDT&interval=1m");
});

test("lengths that are left out, one kind with several, and other orders", () => {
  const overlays = (search) => parseIndicators(readAddress(search, market).indicators, []).overlays;
  assert.deepEqual(overlays("?ma=20,50"), ["ma=20", "ma=50"]);
  assert.deepEqual(overlays("?vwap&ema=9"), ["vwap", "ema=9"]);
  assert.deepEqual(overlays("?ma=20%2Cema%3D50"), ["ma=20", "ema=50"]);
  assert.equal(parseIndicators("rsi", []).rsi, "rsi=14");
});

test("what names nothing is reported, and only that is left out", () => {
  const { indicators, problems } = readAddress("?symbol=NOPE&interval=7m&ma=1,501,20,ema=x&vwap=3&scale=cubic", market);
  assert.deepEqual(problems, ["NOPE", "7m", "cubic"]);
  assert.deepEqual(parseIndicators(indicators, problems).overlays, ["ma=20"]);
  assert.deepEqual(problems.slice(3), ["ma=1", "501", "ema=x", "vwap=3"]);
  const tooMany = [];
  assert.deepEqual(parseIndicators("ma=2,3,4,5", tooMany).overlays, ["ma=2", "ma=3", "ma=4"]);
  assert.deepEqual(tooMany, ["MA 5"]);
});

test("symbols of any script are written so that they are read back", () => {
  const view = { ...readAddress("", market), overlays: [], rsi: null, series: [{ symbol: "币安人生USDT", interval: "1h" }, { symbol: "币安人生USDT", interval: "1m" }] };
  assert.deepEqual(readAddress(writeAddress(view), market).series, view.series);
});
