/** Open, high, low, close and volume of the candle under the crosshair, else of the newest. */

import * as format from "./format.js";

const FIELDS = ["open", "high", "low", "close", "volume"];

export class Legend {
  #cells;
  #change;
  #time;
  #decimals = 2;
  #newest = null;
  #pointed = null;

  constructor(element) {
    const find = (name) => element.querySelector(`[data-field="${name}"]`);
    this.#cells = FIELDS.map(find);
    this.#change = find("change");
    this.#time = find("time");
  }

  /** The newest candle; `decimals` as the series' prices need them. */
  set(candle, decimals) {
    if (this.#pointed?.time === candle.time) this.#pointed = candle;
    this.#newest = candle;
    this.#decimals = decimals;
    this.#show();
  }

  /** The candle under the crosshair, with its volume, or null. */
  point(candle) {
    this.#pointed = candle;
    this.#show();
  }

  clear() {
    this.#newest = this.#pointed = null;
    for (const cell of [...this.#cells, this.#change, this.#time]) cell.textContent = "–";
  }

  #show() {
    const candle = this.#pointed ?? this.#newest;
    if (candle === null) return;
    const change = candle.close / candle.open - 1;
    FIELDS.forEach((field, index) => {
      const value = candle[field];
      this.#cells[index].textContent =
        field === "volume" ? format.volume(value) : format.price(value, this.#decimals);
    });
    this.#change.textContent = format.percent(change);
    this.#change.className = change < 0 ? "down" : "up";
    this.#time.textContent = format.minute(candle.time);
  }
}
