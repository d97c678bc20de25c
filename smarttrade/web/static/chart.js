/** The candlestick chart with volume and indicators: everything that knows the chart library. */

import { nameOf } from "./address.js";
import * as format from "./format.js";
import { Indicator } from "./indicators.js";
import { intervalSeconds } from "./smarttrade-client.js";

const VOLUME_SHARE = 0.18; // of the height, at the bottom
const BAR_SPACING = 8; // px
const RIGHT_OFFSET = 6; // candles of space after the newest
const SCALE_MODES = { linear: 0, log: 1, percent: 2 }; // the library's PriceScaleMode
const RSI_BOUNDS = [30, 70];
const RSI_SHARE = 0.22; // of the height
const CAPTION_HEIGHT = 26; // px, above a picture
const darkness = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class Chart {
  #library;
  #chart;
  #candles;
  #volume;
  #soft;
  #decimals = 2;
  #isNew = true; // whether the view is still another series'
  #held = []; // the client's list, which grows
  #lines = []; // indicators and what draws them
  #paintAgain = () => this.#paint();

  /** `onCrosshair` is called with the time of the candle under the pointer, or null; `onMove`
   * after each change of what is visible. */
  constructor(library, element, { onCrosshair, onMove }) {
    this.#library = library;
    this.#chart = library.createChart(element, {
      autoSize: true,
      // Its logo brings a style of its own, which the page's policy forbids: the footer names it.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element).fontFamily },
      timeScale: { rightOffset: RIGHT_OFFSET, barSpacing: BAR_SPACING, minBarSpacing: 0.5 },
      crosshair: { mode: library.CrosshairMode.Normal },
    });
    this.#candles = this.#chart.addSeries(library.CandlestickSeries, { borderVisible: false });
    this.#volume = this.#chart.addSeries(library.HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.16, bottom: VOLUME_SHARE + 0.06 } });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 1 - VOLUME_SHARE, bottom: 0 } });
    this.#chart.subscribeCrosshairMove(({ time }) => onCrosshair(time ?? null));
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange(onMove);
    darkness.addEventListener("change", this.#paintAgain);
    this.#paint();
  }

  remove() {
    darkness.removeEventListener("change", this.#paintAgain);
    this.#chart.remove();
  }

  // -- what is drawn ------------------------------------------------------------------------

  /** Begin another series: the view returns to the newest candles. */
  begin(interval) {
    this.setTimes(interval);
    this.#chart.priceScale("right").applyOptions({ autoScale: true });
    this.#isNew = true;
  }

  /** Times as `format` shows them now. */
  setTimes(interval) {
    const length = intervalSeconds(interval);
    this.#chart.applyOptions({
      localization: { timeFormatter: (time) => format.openTime(time, length) },
      timeScale: {
        timeVisible: length < 86400,
        secondsVisible: length < 60,
        tickMarkFormatter: (time) => format.tick(time, length),
      },
    });
  }

  reset(candles, decimals) {
    this.#held = candles;
    this.#setDecimals(decimals);
    this.#candles.setData(candles);
    this.#volume.setData(candles.map((candle) => this.#bar(candle)));
    for (const { indicator, series } of this.#lines) series.setData(indicator.reset(candles));
    if (this.#isNew && candles.length) this.#chart.timeScale().resetTimeScale();
    this.#isNew &&= !candles.length;
  }

  update(candle) {
    this.#candles.update(candle);
    this.#volume.update(this.#bar(candle));
    for (const { indicator, series } of this.#lines) series.update(indicator.update(candle));
  }

  /** A candle in the past has changed. */
  correct(candle) {
    this.#candles.update(candle, true);
    this.#volume.update(this.#bar(candle), true);
    for (const { indicator, series } of this.#lines) series.setData(indicator.reset(this.#held));
  }

  /** Lines over the candles, and a relative strength index below them, or null. */
  setIndicators(overlays, rsi) {
    for (const { series } of this.#lines) this.#chart.removeSeries(series);
    this.#lines = overlays.map((each, index) => this.#line(each, `line-${index + 1}`, 0));
    if (rsi) this.#lines.push(this.#rsiLine(rsi));
    for (const { indicator, series } of this.#lines) series.setData(indicator.reset(this.#held));
  }

  #line(spec, colourName, pane) {
    const series = this.#chart.addSeries(
      this.#library.LineSeries,
      {
        color: colour(colourName),
        lineWidth: 2,
        priceLineVisible: false,
        lastValueVisible: false,
        crosshairMarkerVisible: false,
        priceFormat: this.#priceFormat(pane ? 1 : this.#decimals),
      },
      pane,
    );
    return { spec, colourName, pane, series, indicator: new Indicator(spec) };
  }

  #rsiLine(spec) {
    const line = this.#line(spec, "line-1", 1);
    for (const price of RSI_BOUNDS) {
      line.series.createPriceLine({ price, color: colour("quiet"), lineWidth: 1, lineStyle: 2, axisLabelVisible: true });
    }
    const [above, below] = this.#chart.panes();
    above.setStretchFactor(1 - RSI_SHARE);
    below.setStretchFactor(RSI_SHARE);
    return line;
  }

  /** Name, value and colour of each indicator at the candle of `time`, or at the newest. */
  values(time = null) {
    return this.#lines.map(({ spec, colourName, series, pane, indicator }) => {
      const points = series.data();
      const point = time === null ? points.at(-1) : points.find((each) => each.time === time);
      const text = point?.value === undefined ? "–" : format.price(point.value, pane ? 1 : this.#decimals);
      // A day that began before the oldest candle is named by what is known of it.
      const isPart = indicator.since % 86400 > 0;
      const name = nameOf(spec) + (isPart ? ` since ${format.clock(indicator.since).slice(0, 5)}` : "");
      return { name, text, colour: colour(colourName) };
    });
  }

  setScale(scale) {
    this.#chart.priceScale("right").applyOptions({ mode: SCALE_MODES[scale] });
  }

  /** What is drawn, oldest first. */
  get data() {
    return this.#candles.data();
  }

  /** The points of each indicator, oldest first. */
  get lines() {
    return this.#lines.map(({ series }) => series.data());
  }

  // -- what is visible ----------------------------------------------------------------------

  get isAtNewest() {
    return this.#chart.timeScale().scrollPosition() >= -1;
  }

  get isAtOldest() {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    return range !== null && range.from < 0;
  }

  toNewest() {
    this.#chart.timeScale().scrollToPosition(RIGHT_OFFSET, false);
  }

  toOldest() {
    const scale = this.#chart.timeScale();
    const { from, to } = scale.getVisibleLogicalRange();
    scale.setVisibleLogicalRange({ from: -2, to: to - from - 2 });
  }

  /** By a share of the visible width; negative to older candles. */
  pan(share) {
    const { from, to } = this.#chart.timeScale().getVisibleLogicalRange();
    const by = share * (to - from);
    this.#chart.timeScale().setVisibleLogicalRange({ from: from + by, to: to + by });
  }

  /** Show so many times as many candles, with the same newest one. */
  zoom(factor) {
    const { from, to } = this.#chart.timeScale().getVisibleLogicalRange();
    this.#chart.timeScale().setVisibleLogicalRange({ from: to - (to - from) * factor, to });
  }

  /** A picture of what is visible, under a caption. Resolves to a PNG. */
  picture(caption) {
    const shot = this.#chart.takeScreenshot();
    const ratio = devicePixelRatio;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [shot.width, shot.height + CAPTION_HEIGHT * ratio];
    const context = canvas.getContext("2d");
    context.fillStyle = colour("ground");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = colour("text");
    context.font = `${13 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    context.fillText(caption, 10 * ratio, 18 * ratio);
    context.drawImage(shot, 0, CAPTION_HEIGHT * ratio);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  // -- looks --------------------------------------------------------------------------------

  #bar({ time, open, close, volume }) {
    return { time, value: volume, color: close < open ? this.#soft.down : this.#soft.up };
  }

  #priceFormat(decimals) {
    return {
      type: "custom",
      minMove: 10 ** -decimals,
      formatter: (value) => format.price(value, decimals),
    };
  }

  #setDecimals(decimals) {
    if (decimals === this.#decimals) return;
    this.#decimals = decimals;
    const priceFormat = this.#priceFormat(decimals);
    for (const { series, pane } of this.#lines) if (!pane) series.applyOptions({ priceFormat });
    this.#candles.applyOptions({ priceFormat });
  }

  #paint() {
    this.#soft = { up: colour("up-soft"), down: colour("down-soft") };
    const grid = { color: colour("grid") };
    const label = { color: colour("quiet"), labelBackgroundColor: colour("label") };
    this.#chart.applyOptions({
      layout: {
        background: { color: colour("ground") },
        textColor: colour("quiet"),
        panes: { separatorColor: colour("line") },
      },
      grid: { vertLines: grid, horzLines: grid },
      crosshair: { vertLine: label, horzLine: label },
      timeScale: { borderColor: colour("line") },
      rightPriceScale: { borderColor: colour("line") },
    });
    const [up, down] = [colour("up-bar"), colour("down-bar")];
    const priceFormat = this.#priceFormat(this.#decimals);
    this.#candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, priceFormat });
    for (const { series, colourName } of this.#lines) series.applyOptions({ color: colour(colourName) });
    if (this.#held.length) this.reset(this.#held, this.#decimals);
  }
}
