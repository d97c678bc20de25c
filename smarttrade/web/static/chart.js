/** The candlestick chart with volume: what knows the chart library, beside overlays.js. */

import * as format from "./format.js";
import { loadStyle } from "./library.js";
import { intervalSeconds } from "./smarttrade-client.js";

const VOLUME_SHARE = 0.18; // of the height, at the bottom
const VOLUME_ALPHA = "59"; // of 255, in hexadecimal
const RIGHT_OFFSET = 6; // candles of space after the newest
const SCALE_MODES = { linear: 0, log: 1, percent: 2 }; // the library's PriceScaleMode
const darkness = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class Chart {
  api; // the library's chart
  decimals = null; // of prices
  overlays = null; // until an indicator is wanted
  #library;
  #candles;
  #volume;
  #values;
  #colours; // of candles that rise, and that fall
  #isNew = true; // whether the view is still another series'
  #held = []; // the client's list, which grows
  #indicators = [];
  #paintAgain = () => this.#paint();

  /** `values` is for what indicators say; `onCrosshair` gets the time under the pointer, or null. */
  constructor(library, element, values, { onCrosshair, onMove }) {
    this.#library = library;
    this.#values = values;
    this.api = library.createChart(element, {
      autoSize: true,
      // Its logo brings a style of its own, which the page's policy forbids: the footer names it.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element).fontFamily },
      timeScale: { rightOffset: RIGHT_OFFSET, barSpacing: 8 },
      crosshair: { mode: library.CrosshairMode.Normal },
    });
    this.#candles = this.api.addSeries(library.CandlestickSeries, { borderVisible: false });
    this.#volume = this.api.addSeries(library.HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    const place = (series, top, bottom) => series.priceScale().applyOptions({ scaleMargins: { top, bottom } });
    place(this.#candles, 0.16, VOLUME_SHARE + 0.06);
    place(this.#volume, 1 - VOLUME_SHARE, 0);
    this.api.subscribeCrosshairMove(({ time }) => onCrosshair(time ?? null));
    this.scale.subscribeVisibleLogicalRangeChange(onMove);
    darkness.addEventListener("change", this.#paintAgain);
    this.#paint();
  }

  remove() {
    this.#indicators = null;
    darkness.removeEventListener("change", this.#paintAgain);
    this.api.remove();
  }

  // -- what is drawn --

  /** Begin another series: the view returns to the newest candles. */
  begin(interval) {
    this.setTimes(interval);
    this.api.priceScale("right").applyOptions({ autoScale: true });
    this.#isNew = true;
  }

  /** Times as `format` shows them now. */
  setTimes(interval) {
    const length = intervalSeconds(interval);
    this.api.applyOptions({
      localization: { timeFormatter: (time) => format.openTime(time, length) },
      timeScale: { tickMarkFormatter: (time) => format.tick(time, length) },
    });
  }

  reset(candles, decimals) {
    this.#held = candles;
    this.decimals = decimals;
    const formatter = (value) => format.price(value, decimals);
    this.#candles.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -(decimals ?? 8), formatter } });
    this.#candles.setData(candles);
    this.#volume.setData(candles.map((candle) => this.#bar(candle)));
    this.overlays?.reset(candles, decimals);
    if (this.#isNew && candles.length) this.scale.resetTimeScale();
    this.#isNew &&= !candles.length;
  }

  update(candle) {
    this.#candles.update(candle);
    this.#volume.update(this.#bar(candle));
    this.overlays?.update(candle);
  }

  /** Draw indicators, by their words. */
  async setIndicators(words) {
    this.#indicators = words;
    if (!words.length && !this.overlays) return;
    const [{ Overlays }] = await Promise.all([import("./overlays.js"), loadStyle("overlays")]);
    if (this.#indicators !== words) return; // others are wanted by now, or none
    this.overlays ??= new Overlays(this.#library, this.api, colour, this.#values);
    this.overlays.choose(words);
    this.overlays.reset(this.#held, this.decimals);
  }

  setScale(scale) {
    this.api.priceScale("right").applyOptions({ mode: SCALE_MODES[scale] });
  }

  /** What is drawn, oldest first. */
  get data() {
    return this.#candles.data();
  }

  /** The library's. */
  get scale() {
    return this.api.timeScale();
  }

  get isAtNewest() {
    return this.scale.scrollPosition() >= -1;
  }

  get isAtOldest() {
    return this.scale.getVisibleLogicalRange()?.from < 0;
  }

  #bar({ time, open, close, volume }) {
    return { time, value: volume, color: this.#colours[Number(close < open)] + VOLUME_ALPHA };
  }

  #paint() {
    const [ground, line, text] = ["ground", "line", "quiet"].map(colour);
    const grid = { color: colour("hover") };
    const cross = { color: text, labelBackgroundColor: text };
    this.api.applyOptions({
      layout: { background: { color: ground }, textColor: text, panes: { separatorColor: line } },
      grid: { vertLines: grid, horzLines: grid },
      crosshair: { vertLine: cross, horzLine: cross },
      timeScale: { borderColor: line },
      rightPriceScale: { borderColor: line },
    });
    const [up, down] = (this.#colours = ["up-bar", "down-bar"].map(colour));
    this.#candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.overlays?.paint();
    if (this.#held.length) this.reset(this.#held, this.decimals);
  }
}
