/** Open, high, low, close and volume of one candle, above its chart. */

import * as format from "./format.js";
import { intervalSeconds } from "./smarttrade-client.js";

export class Legend {
  #cells = {};

  /** `panel` is the element with the fields. */
  constructor(panel) {
    for (const cell of panel.querySelectorAll("[data-field]")) this.#cells[cell.dataset.field] = cell;
  }

  /** `candle` is undefined while nothing is known of the series. */
  draw(candle, { symbol, interval, decimals }) {
    const length = intervalSeconds(interval);
    const { time, open, close, volume } = candle ?? {};
    const texts = {
      series: `${symbol} ${interval}`,
      zone: format.zone(time, length),
      ...(candle && {
        time: format.openTime(time, length),
        change: format.percent(close / open - 1),
        volume: format.volume(volume),
      }),
    };
    for (const name of candle ? ["open", "high", "low", "close"] : []) texts[name] = format.price(candle[name], decimals);
    for (const [name, cell] of Object.entries(this.#cells)) cell.textContent = texts[name] ?? "–";
    this.#cells.change.className = close < open ? "down" : "up";
  }
}
