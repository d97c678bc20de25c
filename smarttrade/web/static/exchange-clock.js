/** The exchange's clock, by which candles end; this machine's may be hours off. */

import { intervalSeconds } from "./smarttrade-client.js";

export class ExchangeClock {
  #ahead = null; // ms, of this machine's

  /** The exchange's time as the server reports it, in seconds. */
  set(seconds) {
    this.#ahead = seconds * 1000 - Date.now();
  }

  /** A candle has begun: it is at least that late. */
  begun(time) {
    const ahead = time * 1000 - Date.now();
    if (this.#ahead !== null && ahead > this.#ahead) this.#ahead = ahead;
  }

  /** Seconds until the candle that opened at `time` ends, 0 when it is over; null if not known. */
  left(time, interval) {
    if (this.#ahead === null) return null;
    const now = (Date.now() + this.#ahead) / 1000;
    return Math.max(0, endOf(time, interval) - now);
  }
}

/** When the candle after the one that opened at `time` opens; months differ in length. */
export function endOf(time, interval) {
  if (!interval.endsWith("M")) return time + intervalSeconds(interval);
  const opened = new Date(time * 1000);
  return Date.UTC(opened.getUTCFullYear(), opened.getUTCMonth() + parseInt(interval, 10)) / 1000;
}
