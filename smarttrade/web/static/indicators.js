/**
 * Indicators over candles, each a fold: `step(state, candle)` returns the next state and a value,
 * null while there are too few candles. States are never changed in place, so the newest candle can
 * be folded again and again from the state before it; after a correction everything is folded again.
 * What is shown is thus always what folding all candles from the beginning gives.
 *
 * An indicator is named by a word, as in the page's address: `ma=20`, `vwap`.
 */

const DAY = 86400; // seconds
export const MAX_OVERLAYS = 3;
const LENGTHS = { ma: 20, ema: 50, rsi: 14 }; // candles, where a word names none
const MAX_LENGTH = 500; // half of the candles that the server keeps

/** "MA 20" of `ma=20`. */
export const nameOf = (word) => word.replace("=", " ").toUpperCase();

/** What `ma=20,ema=50,vwap,rsi=14` names, in words; those that name nothing go to `problems`. */
export function parseIndicators(text, problems) {
  const overlays = [];
  let rsi = null;
  let kind = "";
  for (const part of text.toLowerCase().split(",").filter(Boolean)) {
    const match = part.trim().match(/^(ma|ema|rsi|vwap)?(?:=)?(\d*)$/);
    kind = match?.[1] ?? kind;
    const length = Number(match?.[2] || LENGTHS[kind] || 0);
    const isRight = match && kind && (kind === "vwap" ? !match[2] : length >= 2 && length <= MAX_LENGTH);
    if (!isRight) problems.push(part.slice(0, 20));
    else if (kind === "rsi") rsi ??= `rsi=${length}`;
    else overlays.push(kind === "vwap" ? kind : `${kind}=${length}`);
  }
  problems.push(...overlays.splice(MAX_OVERLAYS).map(nameOf));
  return { overlays, rsi };
}

/** Mean of the closes of the last `length` candles. */
function ma(length) {
  return {
    start: [],
    step(closes, { close }) {
      const next = [...closes.slice(1 - length), close];
      const sum = next.reduce((total, each) => total + each, 0);
      return [next, next.length < length ? null : sum / length];
    },
  };
}

/** Exponential mean of closes, weight 2/(length+1); it begins with the plain mean. */
function ema(length) {
  return {
    start: { count: 0, sum: 0, mean: null },
    step({ count, sum, mean }, { close }) {
      if (mean !== null) mean += (2 / (length + 1)) * (close - mean);
      else if (++count === length) mean = (sum + close) / length;
      else sum += close;
      return [{ count, sum, mean }, mean];
    },
  };
}

/** Mean price by volume since 00:00 UTC, or since the oldest candle of that day that there is. */
function vwap() {
  return {
    start: { since: -Infinity, money: 0, volume: 0 },
    step(state, { time, high, low, close, volume }) {
      const isSameDay = Math.floor(state.since / DAY) === Math.floor(time / DAY);
      const before = isSameDay ? state : { since: time, money: 0, volume: 0 };
      const money = before.money + ((high + low + close) / 3) * volume;
      const next = { since: before.since, money, volume: before.volume + volume };
      return [next, next.volume > 0 ? money / next.volume : null];
    },
  };
}

/** Wilder's relative strength index, 0 to 100. */
function rsi(length) {
  return {
    start: { last: null, count: 0, gain: 0, loss: 0 },
    step({ last, count, gain, loss }, { close }) {
      if (last === null) return [{ last: close, count, gain, loss }, null];
      const [up, down] = [Math.max(0, close - last), Math.max(0, last - close)];
      const weight = ++count > length ? 1 / length : 1 / count; // the plain mean first
      gain += weight * (up - gain);
      loss += weight * (down - loss);
      const strength = gain + loss === 0 ? 50 : (100 * gain) / (gain + loss);
      return [{ last: close, count: Math.min(count, length), gain, loss }, count < length ? null : strength];
    },
  };
}

const KINDS = { ma, ema, vwap, rsi };

export class Indicator {
  #fold;
  #before; // the state before the newest candle
  #after;
  #newest = null;

  constructor(word) {
    const [kind, length] = word.split("=");
    this.#fold = KINDS[kind](Number(length));
    this.reset([]);
  }

  /** The open time of the first candle of the newest day, for those that begin again each day. */
  get since() {
    return this.#after.since;
  }

  /** Fold all candles; a point for each. */
  reset(candles) {
    this.#before = this.#after = this.#fold.start;
    this.#newest = null;
    return candles.map((candle) => this.update(candle));
  }

  /** Fold the newest candle, again if it is the same; its point. */
  update(candle) {
    if (candle.time !== this.#newest) this.#before = this.#after;
    this.#newest = candle.time;
    const [state, value] = this.#fold.step(this.#before, candle);
    this.#after = state;
    return value === null ? { time: candle.time } : { time: candle.time, value };
  }
}
