/** One chart with its legend: a series of the client, drawn. */

import { Chart } from "./chart.js";
import * as format from "./format.js";
import { Legend } from "./legend.js";
import { intervalSeconds } from "./smarttrade-client.js";

const SNAPSHOT = 1000; // candles to begin with: all that the server keeps
const KEEP = 2000; // candles to hold; a page may be open for weeks

export class Panel {
  element;
  symbol = "";
  interval = "";
  held = []; // the series' candles
  decimals = 2;
  chart = null; // until the library is there
  table = null; // draws the same candles while it is shown
  #client;
  #market;
  #events;
  #legend;
  #look = null;
  #pointed = null;
  #leave = () => {};

  /** Of `events`: `onCandle` is called after each change of the newest candle, `onError` with words,
   * `onActivate` when this chart is pointed at or gets the focus. */
  constructor(client, market, events) {
    this.#client = client;
    this.#market = market;
    this.#events = events;
    this.element = document.getElementById("panel").content.cloneNode(true).firstElementChild;
    this.#legend = new Legend(this.#find(".legend"));
    this.#find(".to-now").addEventListener("click", () => this.chart?.toNewest());
    for (const kind of ["pointerdown", "focusin"]) {
      this.element.addEventListener(kind, () => events.onActivate(this));
    }
  }

  get newest() {
    return this.held.at(-1) ?? null;
  }

  close() {
    this.#leave();
    this.chart?.remove();
    this.element.remove();
  }

  /** The library is there. */
  startChart(library) {
    this.chart = new Chart(library, this.#find(".chart"), {
      onCrosshair: (time) => this.#point(time),
      onMove: () => this.#drawEdges(),
    });
    if (this.interval) this.chart.begin(this.interval);
    if (this.#look) this.setLook(this.#look);
    if (this.held.length) this.#reset(this.held);
  }

  choose(symbol, interval) {
    if (symbol === this.symbol && interval === this.interval) return;
    this.#leave();
    Object.assign(this, { symbol, interval, held: [] });
    this.#pointed = null;
    this.element.setAttribute("aria-busy", "true");
    this.element.setAttribute("aria-label", `${symbol} ${interval}`);
    this.#legend.begin(symbol, interval);
    this.chart?.begin(interval);
    this.table?.begin(interval);
    this.#drawHalt();
    this.#leave = this.#client.subscribe(symbol, interval, {
      snapshot: SNAPSHOT,
      keep: KEEP,
      onReset: (candles) => this.#reset(candles),
      onUpdate: (candle) => this.#update(candle),
      onCorrect: (candle) => this.#correct(candle),
      onError: ({ message }) => this.#events.onError(message),
    });
  }

  /** Scale and indicators. */
  setLook(look) {
    this.#look = look;
    this.chart?.setScale(look.scale);
    this.chart?.setIndicators(look.overlays, look.rsi);
    this.#drawValues();
  }

  /** Show the candles as a table, too, or no longer. */
  setTable(table) {
    this.table = table;
    table?.begin(this.interval);
    table?.reset(this.held, this.decimals);
  }

  /** What the exchange's listing says has changed. */
  refresh() {
    this.#drawHalt();
    if (this.held.length && this.#market.decimals(this.symbol, this.held) !== this.decimals) this.#reset(this.held);
  }

  /** Times are shown in another zone. */
  redrawTimes() {
    this.chart?.setTimes(this.interval);
    this.table?.reset(this.held, this.decimals);
    this.#legend.draw();
    this.#drawEdges();
    this.#drawValues();
  }

  // -- candles ------------------------------------------------------------------------------

  #reset(candles) {
    this.held = candles;
    this.decimals = this.#market.decimals(this.symbol, candles);
    this.element.removeAttribute("aria-busy");
    const words = `${this.symbol} ${this.interval}: candlestick chart of ${candles.length} candles`;
    this.#find(".chart").setAttribute("aria-label", words);
    this.chart?.reset(candles, this.decimals);
    this.table?.reset(candles, this.decimals);
    this.#show();
  }

  #update(candle) {
    if (this.#market.decimals(this.symbol, [candle]) > this.decimals) return this.#reset(this.held);
    this.chart?.update(candle);
    this.table?.update(candle);
    this.#show();
  }

  #correct(candle) {
    this.chart?.correct(candle);
    this.table?.reset(this.held, this.decimals);
    this.#drawValues();
  }

  #show() {
    if (this.newest === null) return;
    this.#legend.set(this.newest, this.decimals);
    this.#drawValues();
    this.#events.onCandle(this);
  }

  #point(time) {
    this.#pointed = time;
    this.#legend.point(time === null ? null : (this.held.findLast((one) => one.time === time) ?? null));
    this.#drawValues();
  }

  // -- what is written over the chart -------------------------------------------------------

  #drawValues() {
    const parts = (this.chart?.values(this.#pointed) ?? []).map(({ name, text, colour }) => {
      const part = document.createElement("span");
      part.textContent = `${name} ${text}`;
      part.style.borderColor = colour;
      return part;
    });
    this.#find(".values").replaceChildren(...parts);
  }

  #drawEdges() {
    if (this.chart === null) return;
    this.#find(".to-now").hidden = this.held.length === 0 || this.chart.isAtNewest;
    const edge = this.#find(".edge");
    edge.hidden = this.held.length === 0 || !this.chart.isAtOldest;
    if (edge.hidden) return;
    const length = intervalSeconds(this.interval);
    const zone = length >= 86400 ? "UTC" : format.zone(this.held[0].time);
    edge.textContent = `Candles begin at ${format.openTime(this.held[0].time, length)} ${zone}: older ones are not kept here.`;
  }

  #drawHalt() {
    const halt = this.#market.halt(this.symbol);
    this.element.toggleAttribute("data-halted", halt !== "");
    this.#find(".halt").hidden = !halt;
    this.#find(".halt").textContent = `HALTED: the exchange does not trade ${this.symbol} (${halt})`;
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}
