/** The sidebar: every symbol with its last price and its change over the day, live. */

import * as format from "./format.js";
import { intervalSeconds } from "./smarttrade-client.js";

const DAY = 86400; // seconds
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** The interval that tells most of a day in the fewest candles, and how many it takes. */
function dayInterval(intervals) {
  const byLength = intervals.toSorted((a, b) => intervalSeconds(a) - intervalSeconds(b));
  const name = byLength.findLast((one) => intervalSeconds(one) <= DAY) ?? byLength[0];
  return { name, candles: Math.min(1000, Math.ceil(DAY / intervalSeconds(name))) };
}

export class Watchlist {
  #rows = new Map();

  /** `choose` is called with the symbol that was clicked. */
  constructor(element, client, symbols, intervals, choose) {
    const { name, candles } = dayInterval(intervals);
    for (const symbol of symbols) {
      const row = new Row(symbol, choose);
      this.#rows.set(symbol, row);
      client.subscribe(symbol, name, {
        snapshot: candles,
        keep: candles,
        onReset: (held) => row.reset(held),
        onUpdate: (candle) => row.update(candle),
        onCorrect: () => {},
      });
    }
    element.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
  }

  /** Where each row leads, for those who open it elsewhere. */
  link(address) {
    for (const [symbol, row] of this.#rows) row.link(address(symbol));
  }

  select(symbol) {
    for (const [name, row] of this.#rows) row.select(name === symbol);
  }
}

class Row {
  element;
  #link;
  #price;
  #change;
  #held = [];
  #last = null;
  #decimals = 2;

  constructor(symbol, choose) {
    this.element = document.createElement("li");
    this.#link = document.createElement("a");
    this.#link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(symbol);
    });
    this.#price = cell("price", "–");
    this.#change = cell("change", "–");
    this.#link.append(cell("symbol", symbol), this.#price, this.#change);
    this.element.append(this.#link);
  }

  link(address) {
    this.#link.href = address;
  }

  select(chosen) {
    if (chosen) this.#link.setAttribute("aria-current", "true");
    else this.#link.removeAttribute("aria-current");
    if (chosen) this.element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  reset(held) {
    this.#held = held;
    if (held.length) this.update(held.at(-1));
  }

  update(candle) {
    this.#decimals = Math.max(this.#decimals, format.decimalsOf([candle]));
    this.#price.textContent = format.price(candle.close, this.#decimals);
    if (this.#last !== null && candle.close !== this.#last) this.#flash(candle.close > this.#last);
    this.#last = candle.close;
    const start = this.#dayStart(candle);
    const change = start && candle.close / start.open - 1;
    this.#change.textContent = start ? format.percent(change) : "–";
    this.#change.className = `change ${change < 0 ? "down" : "up"}`;
  }

  /** The day's first candle, by the exchange's clock (UTC), if that far back is known. */
  #dayStart(candle) {
    const midnight = candle.time - (candle.time % DAY);
    if (candle.time === midnight) return candle;
    return this.#held.find(({ time }) => time === midnight);
  }

  #flash(up) {
    if (stillness.matches || document.hidden) return;
    this.#price.animate([{ color: `var(--${up ? "up" : "down"})` }, {}], 700);
  }
}

function cell(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}
