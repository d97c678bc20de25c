/** The candlestick chart with volume: everything that knows the chart library. */

import * as format from "./format.js";
import { intervalSeconds } from "./smarttrade-client.js";

const VOLUME_SHARE = 0.18; // of the height, at the bottom
const BAR_SPACING = 8; // px
const darkness = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  #chart;
  #candles;
  #volume;
  #colours;
  #decimals = 2;
  #isNew = true; // whether the view is still another series'
  #held = []; // what was set last, to draw it again in other colours

  /** `onCrosshair` is told the time of the candle under the pointer, or null. */
  constructor(library, element, onCrosshair) {
    this.#chart = library.createChart(element, {
      autoSize: true,
      // Its logo brings a style of its own, which the page's policy forbids: the footer names it.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element).fontFamily },
      timeScale: { rightOffset: 6, barSpacing: BAR_SPACING, minBarSpacing: 0.5 },
      crosshair: { mode: library.CrosshairMode.Normal },
      localization: { locale: "en-GB" },
    });
    this.#candles = this.#chart.addSeries(library.CandlestickSeries, { borderVisible: false });
    this.#volume = this.#chart.addSeries(library.HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.14, bottom: VOLUME_SHARE + 0.06 } });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 1 - VOLUME_SHARE, bottom: 0 } });
    this.#chart.subscribeCrosshairMove(({ time }) => onCrosshair(time ?? null));
    darkness.addEventListener("change", () => this.#paint());
    this.#paint();
  }

  /** Begin another series: the view returns to the newest candles. */
  begin(interval) {
    const seconds = intervalSeconds(interval);
    this.#decimals = 2;
    this.#chart.applyOptions({
      timeScale: { timeVisible: seconds < 86400, secondsVisible: seconds < 60 },
    });
    this.#chart.priceScale("right").applyOptions({ autoScale: true });
    this.#isNew = true;
  }

  reset(candles) {
    this.#held = candles;
    this.#setDecimals(candles);
    this.#candles.setData(candles);
    this.#volume.setData(candles.map((candle) => this.#bar(candle)));
    if (this.#isNew) this.#chart.timeScale().resetTimeScale();
    this.#isNew = false;
  }

  update(candle) {
    this.#setDecimals([candle]);
    this.#candles.update(candle);
    this.#volume.update(this.#bar(candle));
  }

  /** A candle in the past has changed. */
  correct(candle) {
    this.#candles.update(candle, true);
    this.#volume.update(this.#bar(candle), true);
  }

  /** What is drawn, oldest first. */
  get data() {
    return this.#candles.data();
  }

  #bar({ time, open, close, volume }) {
    const { upSoft, downSoft } = this.#colours;
    return { time, value: volume, color: close < open ? downSoft : upSoft };
  }

  /** More places as prices need them, never fewer: the axis keeps its width. */
  #setDecimals(candles) {
    const decimals = Math.max(this.#decimals, format.decimalsOf(candles));
    if (decimals === this.#decimals && this.#held !== candles) return;
    this.#decimals = decimals;
    this.#candles.applyOptions({
      priceFormat: {
        type: "custom",
        minMove: 10 ** -decimals,
        formatter: (value) => format.price(value, decimals),
      },
    });
  }

  #paint() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.#colours = { upSoft: colour("up-soft"), downSoft: colour("down-soft") };
    const grid = { color: colour("grid") };
    const label = { color: colour("quiet"), labelBackgroundColor: colour("label") };
    this.#chart.applyOptions({
      layout: { background: { color: colour("ground") }, textColor: colour("quiet") },
      grid: { vertLines: grid, horzLines: grid },
      crosshair: { vertLine: label, horzLine: label },
      timeScale: { borderColor: colour("line") },
      rightPriceScale: { borderColor: colour("line") },
    });
    const [up, down] = [colour("up-bar"), colour("down-bar")];
    this.#candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    if (this.#held.length) this.reset(this.#held);
  }
}
