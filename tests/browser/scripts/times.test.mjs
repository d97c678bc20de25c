import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Asia/Kolkata";
const format = await import("../../../smarttrade/web/static/format.js");
const { ExchangeClock, endOf } = await import("../../../smarttrade/web/static/exchange-clock.js");
const { dayInterval, dayStatistics } = await import("../../../smarttrade/web/static/day.js");

const TIME = 1733007607; // 2024-11-30T23:00:07Z
const at = (text) => Date.parse(text) / 1000;

test("times are UTC until local ones are chosen; days stay the exchange's", () => {
  assert.equal(format.openTime(TIME, 60), "2024-11-30 23:00");
  assert.equal(format.openTime(TIME, 1), "2024-11-30 23:00:07");
  assert.equal(format.zone(TIME), "UTC");
  format.useLocalTime(true);
  assert.equal(format.openTime(TIME, 60), "2024-12-01 04:30");
  assert.equal(format.openTime(TIME, 86400), "2024-11-30");
  assert.equal(format.clock(TIME), "04:30:07");
  assert.equal(format.zone(TIME), "UTC+5:30");
  assert.equal(format.tick(at("2024-12-01T18:30Z"), 60), "2 Dec");
  format.useLocalTime(false);
});

test("marks of the time axis", () => {
  assert.equal(format.tick(at("2024-12-02T12:05Z"), 60), "12:05");
  assert.equal(format.tick(at("2024-12-02T12:05:09Z"), 1), "12:05:09");
  assert.equal(format.tick(at("2024-12-02T00:00Z"), 60), "2 Dec");
  assert.equal(format.tick(at("2024-12-01T00:00Z"), 86400), "Dec");
  assert.equal(format.tick(at("2025-01-01T00:00Z"), 86400), "2025");
});

test("durations", () => {
  assert.deepEqual([42.9, 187, 11220, 259200].map(format.duration), ["0:42", "3:07", "3:07:00", "3 d 0 h"]);
});

test("months end where the next one begins", () => {
  assert.equal(endOf(at("2024-02-01T00:00Z"), "1M"), at("2024-03-01T00:00Z"));
  assert.equal(endOf(at("2024-12-01T00:00Z"), "1M"), at("2025-01-01T00:00Z"));
  assert.equal(endOf(at("2024-02-01T00:00Z"), "4h"), at("2024-02-01T04:00Z"));
});

test("time left is by the exchange's clock, whatever this machine's says", (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 5_000_000 });
  const clock = new ExchangeClock();
  clock.begun(TIME);
  assert.equal(clock.left(TIME, "1m"), null);
  clock.set(TIME + 10);
  assert.equal(clock.left(TIME, "1m"), 50);
  context.mock.timers.tick(20_000);
  assert.equal(clock.left(TIME, "1m"), 30);
  clock.begun(TIME + 60); // the exchange is further than was known
  assert.equal(clock.left(TIME + 60, "1m"), 60);
  context.mock.timers.tick(90_000);
  assert.equal(clock.left(TIME + 60, "1m"), 0);
});

const hour = (number, open, high, low, close) => ({ time: at("2024-12-01T00:00Z") + 3600 * number, open, high, low, close, volume: 2 });

test("a day is covered by the shortest interval that takes few candles", () => {
  assert.deepEqual(dayInterval(["1m", "5m", "15m", "1h", "4h", "1d"]), { name: "15m", candles: 96 });
  assert.deepEqual(dayInterval(["1m", "1h", "1d"]), { name: "1h", candles: 24 });
  assert.deepEqual(dayInterval(["1d", "1M"]), { name: "1d", candles: 1 });
  assert.equal(dayInterval(["1m", "1w"]), null);
});

test("24 hours roll, and are not known of less than a day", () => {
  const candles = Array.from({ length: 30 }, (_, number) => hour(number, 10 + number, 100 + number, number, 20 + number));
  assert.deepEqual(dayStatistics(candles, "1h"), { change: 49 / 16 - 1, high: 129, low: 6, volume: 48 });
  assert.equal(dayStatistics(candles.slice(7), "1h"), null);
  assert.equal(dayStatistics([], "1h"), null);
});
