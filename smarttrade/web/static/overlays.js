/** Indicators drawn over and below the candles, with their values in words. Loaded when one is wanted. */

import * as format from "./format.js";
import { Indicator, nameOf } from "./indicators.js";

const RSI_BOUNDS = [30, 70];
const RSI_DECIMALS = 1;
const RSI_SHARE = 0.22; // of the height

export class Overlays {
  #library;
  #chart;
  #colour;
  #element;
  #decimals = 2;
  #lines = []; // indicators and what draws them
  #pointed = null;

  /** `colour` reads one by its name; `element` is for the values. */
  constructor(library, chart, colour, element) {
    this.#library = library;
    this.#chart = chart;
    this.#colour = colour;
    this.#element = element;
  }

  /** Draw these and no others, by their words. */
  choose(words) {
    for (const { series } of this.#lines) this.#chart.removeSeries(series);
    this.#lines = words.map((word, index) => this.#line(word, index));
  }

  reset(candles, decimals) {
    this.#decimals = decimals;
    for (const { series, isRsi, indicator } of this.#lines) {
      if (!isRsi) series.applyOptions({ priceFormat: this.#priceFormat(decimals) });
      series.setData(indicator.reset(candles));
    }
    this.#draw();
  }

  update(candle) {
    for (const { indicator, series } of this.#lines) series.update(indicator.update(candle));
    this.#draw();
  }

  /** The candle under the crosshair opened then; null for the newest one. */
  point(time) {
    this.#pointed = time;
    this.#draw();
  }

  paint() {
    for (const { series, colourName } of this.#lines) series.applyOptions({ color: this.#colour(colourName) });
    this.#draw();
  }

  /** The points of each, oldest first. */
  get points() {
    return this.#lines.map(({ series }) => series.data());
  }

  #line(word, index) {
    const isRsi = word.startsWith("rsi");
    const colourName = isRsi ? "line-1" : `line-${index + 1}`;
    const options = {
      color: this.#colour(colourName),
      lineWidth: 2,
      priceLineVisible: false,
      lastValueVisible: false,
      crosshairMarkerVisible: false,
      priceFormat: this.#priceFormat(isRsi ? RSI_DECIMALS : this.#decimals),
    };
    const series = this.#chart.addSeries(this.#library.LineSeries, options, isRsi ? 1 : 0);
    if (isRsi) this.#addBounds(series);
    return { word, colourName, isRsi, series, indicator: new Indicator(word) };
  }

  #addBounds(series) {
    for (const price of RSI_BOUNDS) {
      series.createPriceLine({ price, color: this.#colour("quiet"), lineWidth: 1, lineStyle: 2, axisLabelVisible: true });
    }
    const [above, below] = this.#chart.panes();
    above.setStretchFactor(1 - RSI_SHARE);
    below.setStretchFactor(RSI_SHARE);
  }

  #priceFormat(decimals) {
    return { type: "custom", minMove: 10 ** -(decimals ?? 8), formatter: (value) => format.price(value, decimals) };
  }

  /** Name, value and colour of each. */
  #draw() {
    const parts = this.#lines.map(({ word, colourName, isRsi, series, indicator }) => {
      const points = series.data();
      const point = this.#pointed === null ? points.at(-1) : points.find(({ time }) => time === this.#pointed);
      const value = point?.value === undefined ? "–" : format.price(point.value, isRsi ? RSI_DECIMALS : this.#decimals);
      // A day that began before the oldest candle is named by what is known of it.
      const since = indicator.since % 86400 > 0 ? ` since ${format.clock(indicator.since).slice(0, 5)}` : "";
      const part = document.createElement("span");
      part.textContent = `${nameOf(word)}${since} ${value}`;
      part.style.borderColor = this.#colour(colourName);
      return part;
    });
    this.#element.replaceChildren(...parts);
  }
}
