/** The newest candles as a table: for reading numbers, and where there is no chart. Loaded when wanted. */

import * as format from "./format.js";
import { intervalSeconds } from "./smarttrade-client.js";

const MAX_ROWS = 100;

export class CandleTable {
  #body;
  #zone;
  #decimals = 2;
  #length = 60;
  #newest = null;

  /** `zone` is where the column's head names the time zone. */
  constructor(body, zone) {
    this.#body = body;
    this.#zone = zone;
  }

  begin(interval) {
    this.#length = intervalSeconds(interval);
  }

  reset(candles, decimals) {
    this.#decimals = decimals;
    this.#newest = candles.at(-1)?.time ?? null;
    this.#zone.textContent = format.zone(undefined, this.#length);
    this.#body.replaceChildren(...candles.slice(-MAX_ROWS).reverse().map((candle) => this.#row(candle)));
  }

  update(candle) {
    if (candle.time === this.#newest) this.#body.firstChild.replaceWith(this.#row(candle));
    else this.#body.prepend(this.#row(candle));
    this.#newest = candle.time;
    while (this.#body.rows.length > MAX_ROWS) this.#body.lastChild.remove();
  }

  #row({ time, open, high, low, close, volume }) {
    const row = document.createElement("tr");
    const prices = [open, high, low, close].map((value) => format.price(value, this.#decimals));
    for (const text of [format.openTime(time, this.#length), ...prices, format.volume(volume)]) {
      row.insertCell().textContent = text;
    }
    row.cells[4].className = close < open ? "down" : "up";
    return row;
  }
}
