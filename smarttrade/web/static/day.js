/** The last 24 hours of a symbol, from its candles. */

import { intervalSeconds } from "./smarttrade-client.js";

const DAY = 86400; // seconds
const MAX_CANDLES = 100; // of a day, for each symbol that is listed

/** The shortest interval that covers a day in few candles, and how many; null when there is none. */
export function dayInterval(intervals) {
  const candles = (name) => DAY / intervalSeconds(name);
  const [name] = intervals
    .filter((each) => candles(each) >= 1 && candles(each) <= MAX_CANDLES)
    .sort((one, other) => candles(other) - candles(one));
  return name ? { name, candles: candles(name) } : null;
}

/** Change (a fraction), high, low and volume; null when the candles do not reach back a day. */
export function dayStatistics(candles, interval) {
  const newest = candles.at(-1);
  if (!newest) return null;
  const first = newest.time - DAY + intervalSeconds(interval);
  const day = candles.filter(({ time }) => time >= first);
  if (candles[0].time > first) return null;
  return {
    change: newest.close / day[0].open - 1,
    high: Math.max(...day.map(({ high }) => high)),
    low: Math.min(...day.map(({ low }) => low)),
    volume: day.reduce((sum, { volume }) => sum + volume, 0),
  };
}
