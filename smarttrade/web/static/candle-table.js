/** The newest candles as a table: for those who want numbers, and where there is no chart. */

import * as format from "./format.js";

const ROWS = 100;

export class CandleTable {
  #body;
  #decimals = 2;
  #newest = null;

  constructor(body) {
    this.#body = body;
  }

  reset(candles) {
    this.#decimals = format.decimalsOf(candles);
    this.#newest = candles.at(-1)?.time ?? null;
    this.#body.replaceChildren(...candles.slice(-ROWS).reverse().map((candle) => this.#row(candle)));
  }

  update(candle) {
    if (candle.time === this.#newest) this.#body.firstChild.replaceWith(this.#row(candle));
    else this.#body.prepend(this.#row(candle));
    this.#newest = candle.time;
    while (this.#body.rows.length > ROWS) this.#body.lastChild.remove();
  }

  #row({ time, open, high, low, close, volume }) {
    const row = document.createElement("tr");
    const prices = [open, high, low, close].map((value) => format.price(value, this.#decimals));
    const direction = close < open ? "down" : "up";
    for (const text of [format.minute(time), ...prices, format.volume(volume)]) {
      row.insertCell().textContent = text;
    }
    row.cells[4].className = direction;
    return row;
  }
}
