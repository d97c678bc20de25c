/** Open, high, low, close and volume of the candle under the crosshair, else of the newest. */

import * as format from "./format.js";
import { intervalSeconds } from "./smarttrade-client.js";

const FIELDS = ["open", "high", "low", "close", "volume"];

export class Legend {
  #cells;
  #element;
  #decimals = 2;
  #length = 60;
  #newest = null;
  #pointed = null;

  constructor(element) {
    this.#element = element;
    const find = (name) => element.querySelector(`[data-field="${name}"]`);
    this.#cells = Object.fromEntries([...FIELDS, "change", "time", "zone", "series"].map((name) => [name, find(name)]));
  }

  /** Another series: nothing is known of it yet. */
  begin(symbol, interval) {
    this.#newest = this.#pointed = null;
    this.#length = intervalSeconds(interval);
    for (const cell of Object.values(this.#cells)) cell.textContent = "–";
    this.#cells.series.textContent = `${symbol} ${interval}`;
    this.#cells.zone.textContent = this.#zone(0);
  }

  /** The newest candle; `decimals` as the series' prices need them. */
  set(candle, decimals) {
    if (this.#pointed?.time === candle.time) this.#pointed = candle;
    this.#newest = candle;
    this.#decimals = decimals;
    this.draw();
  }

  /** The candle under the crosshair, with its volume, or null. */
  point(candle) {
    this.#pointed = candle;
    this.draw();
  }

  draw() {
    const candle = this.#pointed ?? this.#newest;
    if (candle === null) return;
    const change = candle.close / candle.open - 1;
    for (const field of FIELDS) {
      const value = candle[field];
      this.#cells[field].textContent =
        field === "volume" ? format.volume(value) : format.price(value, this.#decimals);
    }
    this.#cells.change.textContent = format.percent(change);
    this.#cells.change.className = change < 0 ? "down" : "up";
    this.#cells.time.textContent = format.openTime(candle.time, this.#length);
    this.#cells.zone.textContent = this.#zone(candle.time);
  }

  /** Days are the exchange's, in UTC, whatever zone is shown. */
  #zone(time) {
    return this.#length >= 86400 ? "UTC" : format.zone(time);
  }
}
