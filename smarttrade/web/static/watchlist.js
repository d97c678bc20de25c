/** The sidebar: every symbol with its last price and its change over 24 hours, live. */

import { dayInterval, dayStatistics } from "./day.js";
import * as format from "./format.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export class Watchlist {
  #rows = new Map();

  /** `onChoose` is called with the symbol that was clicked, `onDay` with one whose last 24 hours changed. */
  constructor(list, client, market, { onChoose, onDay }) {
    const day = dayInterval(market.intervals) ?? { name: market.intervals[0], candles: 1 };
    for (const symbol of market.symbols) {
      const row = new Row({ symbol, interval: day.name, market, onChoose, onDay });
      this.#rows.set(symbol, row);
      client.subscribe(symbol, day.name, {
        snapshot: day.candles,
        keep: day.candles,
        onReset: (held) => row.reset(held),
        onUpdate: (candle) => row.update(candle),
      });
    }
    list.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
  }

  /** Change, high, low and volume of the last 24 hours, or null. */
  day(symbol) {
    return this.#rows.get(symbol).day;
  }

  /** Which one is shown, and where each row leads. */
  select(chosen, address) {
    for (const [symbol, row] of this.#rows) row.select(symbol === chosen, address(symbol));
  }

  /** What the exchange's listing says has changed. */
  refresh() {
    for (const row of this.#rows.values()) row.draw();
  }
}

class Row {
  element = document.createElement("li");
  day = null;
  #about; // symbol, interval, and what its list was given
  #link = document.createElement("a");
  #price = cell("price", "–");
  #change = cell("change", "–");
  #held = [];
  #last = null;

  constructor(about) {
    this.#about = about;
    this.#link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      about.onChoose(about.symbol);
    });
    this.#link.append(cell("symbol", about.symbol), this.#price, this.#change);
    this.element.append(this.#link);
  }

  select(isChosen, address) {
    this.#link.href = address;
    if (!isChosen) return this.#link.removeAttribute("aria-current");
    if (this.#link.ariaCurrent) return;
    this.#link.setAttribute("aria-current", "true");
    this.element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  reset(held) {
    this.#held = held;
    if (held.length) this.update(held.at(-1));
  }

  update({ close }) {
    if (this.#last && close !== this.#last) this.#flash(close > this.#last ? "up" : "down");
    this.#last = close;
    this.draw();
  }

  draw() {
    if (!this.#held.length) return;
    const { symbol, interval, market, onDay } = this.#about;
    this.day = dayStatistics(this.#held, interval);
    this.#price.textContent = format.price(this.#last, market.decimals(symbol));
    const halt = market.halt(symbol);
    this.#change.textContent = halt ? "HALTED" : this.day ? format.percent(this.day.change) : "–";
    this.#change.className = `change ${halt ? "old" : this.day?.change < 0 ? "down" : "up"}`;
    onDay(symbol);
  }

  #flash(direction) {
    if (!stillness.matches) this.#price.animate([{ color: `var(--${direction})` }, {}], 700);
  }
}

function cell(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}
