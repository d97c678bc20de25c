/** The sidebar: every symbol with its last price and its change over 24 hours, live; and a search. */

import { dayInterval, dayStatistics } from "./day.js";
import * as format from "./format.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export class Watchlist {
  #rows = new Map();

  /** `onChoose` is called with the symbol that was clicked, `onDay` with one whose last 24 hours changed. */
  constructor(list, search, client, market, { onChoose, onDay }) {
    const day = dayInterval(market.intervals) ?? { name: market.intervals[0], candles: 1 };
    for (const symbol of market.symbols) {
      const row = new Row(symbol, day.name, market, onChoose, onDay);
      this.#rows.set(symbol, row);
      client.subscribe(symbol, day.name, {
        snapshot: day.candles,
        keep: day.candles,
        onReset: (held) => row.reset(held),
        onUpdate: (candle) => row.update(candle),
        onCorrect: () => row.draw(),
      });
    }
    list.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
    search.addEventListener("input", () => this.#filter(search.value));
    search.addEventListener("keydown", (event) => {
      if (event.key === "Escape") search.value = "";
      const [first] = this.#found(search.value);
      if (event.key === "Enter" && search.value && first) onChoose(first);
      if (!["Enter", "Escape"].includes(event.key)) return;
      this.#filter(search.value);
      search.blur();
    });
  }

  /** Those that contain the text, and begin with it first. */
  #found(text) {
    const wanted = text.trim().toUpperCase();
    const found = [...this.#rows.keys()].filter((symbol) => symbol.includes(wanted));
    return found.sort((one, other) => other.startsWith(wanted) - one.startsWith(wanted));
  }

  #filter(text) {
    const found = new Set(this.#found(text));
    for (const [symbol, row] of this.#rows) row.element.hidden = !found.has(symbol);
  }

  /** Change, high, low and volume of the last 24 hours, or null. */
  day(symbol) {
    return this.#rows.get(symbol)?.day ?? null;
  }

  /** Where each row leads, for those who open it elsewhere. */
  link(address) {
    for (const [symbol, row] of this.#rows) row.link(address(symbol));
  }

  select(symbol) {
    for (const [name, row] of this.#rows) row.select(name === symbol);
  }

  /** What the exchange's listing says has changed. */
  refresh() {
    for (const row of this.#rows.values()) row.draw();
  }
}

class Row {
  element;
  day = null;
  #symbol;
  #interval;
  #market;
  #onDay;
  #link;
  #price;
  #change;
  #held = [];
  #last = null;

  constructor(symbol, interval, market, onChoose, onDay) {
    this.#symbol = symbol;
    this.#interval = interval;
    this.#market = market;
    this.#onDay = onDay;
    this.element = document.createElement("li");
    this.#link = document.createElement("a");
    this.#link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onChoose(symbol);
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

  update({ close }) {
    if (this.#last !== null && close !== this.#last) this.#flash(close > this.#last);
    this.#last = close;
    this.draw();
  }

  draw() {
    if (!this.#held.length) return;
    this.day = dayStatistics(this.#held, this.#interval);
    this.#price.textContent = format.price(this.#last, this.#market.decimals(this.#symbol, this.#held));
    const halt = this.#market.halt(this.#symbol);
    this.#change.textContent = halt ? "HALTED" : this.day ? format.percent(this.day.change) : "–";
    this.#change.className = `change ${halt ? "old" : this.day?.change < 0 ? "down" : "up"}`;
    this.#onDay(this.#symbol);
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
