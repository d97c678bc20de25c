/** One chart with its legend: a series, drawn. */

import { Chart } from "./chart.js";
import * as format from "./format.js";
import { Legend } from "./legend.js";
import { loadStyle } from "./library.js";

const SNAPSHOT = 1000; // candles to begin with: all that the server keeps
const KEEP = 2000; // candles to hold; a page may be open for weeks
const SILENT_AFTER = 15_000; // ms without an update; while there are trades, one is due every 2 s

export class Panel {
  element = document.getElementById("panel").content.firstElementChild.cloneNode(true);
  symbol = "";
  interval = "";
  held = []; // the series' candles
  chart = null; // until the library is there
  updatedAt; // ms, when the series last changed while the feed was live
  #changedAt = Infinity; // whatever the feed was
  #table = null; // draws the same candles while it is shown
  #client;
  #market;
  #events;
  #legend;
  #look;
  #pointed = null;
  #edges = null; // until one is in sight
  #leave = () => {};

  constructor(client, market, look, events) {
    this.#client = client;
    this.#market = market;
    this.#look = look;
    this.#events = events;
    this.#legend = new Legend(this.element);
    const activate = () => events.onActivate(this);
    this.element.addEventListener("pointerdown", activate);
    this.element.addEventListener("focusin", activate);
  }

  get newest() {
    return this.held.at(-1);
  }

  get price() {
    return this.newest ? format.price(this.newest.close, this.decimals) : "";
  }

  get decimals() {
    return this.#market.decimals(this.symbol);
  }

  get halt() {
    return this.#market.halt(this.symbol);
  }

  /** In seconds. */
  get age() {
    return this.updatedAt && (Date.now() - this.updatedAt) / 1000;
  }

  /** The feed is live, and this series is not. */
  get isSilent() {
    const { phase, feed } = this.#client.state;
    return phase === "open" && feed === "live" && Date.now() - this.#changedAt > SILENT_AFTER;
  }

  close() {
    this.#leave();
    this.chart?.remove();
    this.element.remove();
  }

  startChart(library) {
    this.chart = new Chart(library, this.#find(".chart"), this.#find(".values"), {
      onCrosshair: (time) => this.#point(time),
      onMove: () => this.#drawEdges(),
    });
    if (this.interval) this.chart.begin(this.interval);
    this.showLook();
    if (this.newest) this.#reset(this.held);
  }

  choose(symbol, interval) {
    if (symbol === this.symbol && interval === this.interval) return;
    this.#leave();
    Object.assign(this, { symbol, interval, held: [], updatedAt: undefined });
    this.#pointed = null;
    this.#changedAt = Infinity;
    this.element.setAttribute("aria-busy", "true");
    this.element.setAttribute("aria-label", `${symbol} ${interval}`);
    this.#legend.draw(undefined, this);
    this.chart?.begin(interval);
    this.#table?.begin(interval);
    this.drawNote();
    this.#leave = this.#client.subscribe(symbol, interval, {
      snapshot: SNAPSHOT,
      keep: KEEP,
      onReset: (candles) => {
        this.#reset(candles);
        this.#changed();
      },
      onUpdate: (candle) => this.#update(candle),
      onError: ({ message }) => this.#events.onError(message),
    });
  }

  showLook() {
    const { scale, overlays, rsi } = this.#look;
    this.chart?.setScale(scale);
    this.chart?.setIndicators(rsi ? [...overlays, rsi] : overlays);
  }

  /** Show the candles as a table, too, or no longer. */
  setTable(table) {
    this.#table = table;
    table?.begin(this.interval);
    table?.reset(this.held, this.decimals);
  }

  refresh() {
    this.drawNote();
    if (this.newest && this.chart?.decimals !== this.decimals) this.#reset(this.held);
  }

  /** Times are shown in another zone. */
  redrawTimes() {
    this.chart?.setTimes(this.interval);
    if (this.newest) this.#reset(this.held);
    this.#drawEdges();
  }

  /** What keeps this series from being live although the feed is. */
  get note() {
    const { symbol, interval, halt } = this;
    if (halt) return `HALTED: the exchange does not trade ${symbol} (${halt})`;
    const silence = format.age((Date.now() - this.#changedAt) / 1000);
    return this.isSilent ? `SILENT: no update of ${symbol} ${interval} for ${silence}` : "";
  }

  drawNote() {
    const note = this.#find(".note");
    note.textContent = this.note;
    note.hidden = !this.note;
    this.element.toggleAttribute("data-dead", !note.hidden);
  }

  // -- candles --

  #reset(candles) {
    this.held = candles;
    this.element.removeAttribute("aria-busy");
    const words = `${this.symbol} ${this.interval}: candlestick chart of ${candles.length} candles`;
    this.#find(".chart").setAttribute("aria-label", words);
    this.chart?.reset(candles, this.decimals);
    this.#table?.reset(candles, this.decimals);
    this.#drawLegend();
  }

  #update(candle) {
    this.chart?.update(candle);
    this.#table?.update(candle);
    this.#drawLegend();
    this.#changed();
  }

  /** The newest candle is another. While the feed is not live, that is old news. */
  #changed() {
    if (!this.newest) return;
    this.#changedAt = Date.now();
    if (this.#client.state.feed === "live") this.updatedAt = this.#changedAt;
    this.#events.onCandle(this);
  }

  #point(time) {
    this.#pointed = time;
    this.#drawLegend();
    this.chart.overlays?.point(time);
  }

  #drawLegend() {
    const pointed = this.#pointed === null ? null : this.held.findLast(({ time }) => time === this.#pointed);
    this.#legend.draw(pointed ?? this.newest, this);
  }

  async #drawEdges() {
    if (!this.chart || (!this.#edges && this.chart.isAtNewest && !this.chart.isAtOldest)) return;
    this.#edges ??= (await Promise.all([import("./edges.js"), loadStyle("edges")]))[0];
    this.#edges.drawEdges(this);
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}
