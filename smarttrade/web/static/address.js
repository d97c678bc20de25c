/**
 * What the page's address says, and the address of what is shown:
 * `?symbol=BTCUSDT&interval=1m&more=ETHUSDT:5m&ma=20,ema=50,vwap&rsi=14&scale=log`.
 */

export const MAX_OVERLAYS = 3;
export const MAX_CHARTS = 4;
const LENGTHS = { ma: 20, ema: 50, rsi: 14 }; // candles, where the address names none
const MAX_LENGTH = 500; // half of the candles that the server keeps
export const SCALES = ["linear", "log", "percent"];

/** An interval in the server's spelling, or undefined; `1M` is a month and never a minute. */
export function findInterval(text, intervals) {
  const spelled = text.replace(/[HDW]$/, (unit) => unit.toLowerCase());
  return [text, spelled, `1${spelled}`].find((each) => intervals.includes(each));
}

/** `ma=20,ema=50,vwap` as indicators; those that are none go to `problems`. */
export function parseIndicators(text, problems) {
  const found = [];
  let kind = "";
  for (const word of text.toLowerCase().split(",").filter(Boolean)) {
    const match = word.trim().match(/^(ma|ema|rsi|vwap)?(?:=)?(\d*)$/);
    kind = match?.[1] ?? kind;
    const length = Number(match?.[2] || LENGTHS[kind] || 0);
    const isRight = match && kind && (kind === "vwap" ? !match[2] : length >= 2 && length <= MAX_LENGTH);
    if (isRight) found.push(kind === "vwap" ? { kind } : { kind, length });
    else problems.push(word.slice(0, 20));
  }
  return found;
}

export const nameOf = ({ kind, length }) => (length ? `${kind.toUpperCase()} ${length}` : kind.toUpperCase());
export const isSame = (one, other) => one.kind === other.kind && one.length === other.length;

/** The view that an address asks for, of what there is, and the words that name nothing. */
export function readAddress(search, { symbols, intervals }) {
  const query = new URLSearchParams(search);
  const problems = [];
  const one = (symbol, interval) => {
    const wanted = (symbol ?? symbols[0]).trim().toUpperCase();
    const known = symbols.includes(wanted) ? wanted : symbols[0];
    const length = findInterval(interval ?? intervals[0], intervals);
    if (known !== wanted) problems.push(wanted.slice(0, 20));
    if (!length) problems.push(interval.slice(0, 20));
    return { symbol: known, interval: length ?? intervals[0] };
  };
  const series = [one(query.get("symbol"), query.get("interval"))];
  for (const pair of (query.get("more") ?? "").split(",").filter(Boolean).slice(0, MAX_CHARTS - 1)) {
    const [symbol, interval = series[0].interval] = pair.split(":");
    series.push(one(symbol, interval));
  }
  const words = [...query].filter(([name]) => name in LENGTHS || name === "vwap");
  const text = words.map(([name, value]) => (value ? `${name}=${value}` : name)).join(",");
  const indicators = parseIndicators(text, problems);
  const overlays = indicators.filter(({ kind }) => kind !== "rsi");
  problems.push(...overlays.splice(MAX_OVERLAYS).map(nameOf));
  const scale = query.get("scale") ?? SCALES[0];
  if (!SCALES.includes(scale)) problems.push(scale.slice(0, 20));
  return {
    series,
    overlays,
    rsi: indicators.find(({ kind }) => kind === "rsi") ?? null,
    scale: SCALES.includes(scale) ? scale : SCALES[0],
    problems,
  };
}

/** The address of a view. */
export function writeAddress({ series, overlays, rsi, scale }) {
  const [first, ...more] = series;
  const parts = [`symbol=${encodeURIComponent(first.symbol)}`, `interval=${first.interval}`];
  const pairs = more.map(({ symbol, interval }) => `${encodeURIComponent(symbol)}:${interval}`);
  if (pairs.length) parts.push(`more=${pairs.join(",")}`);
  const words = overlays.map(({ kind, length }) => (length ? `${kind}=${length}` : kind));
  if (words.length) parts.push(words.join(","));
  if (rsi) parts.push(`rsi=${rsi.length}`);
  if (scale !== SCALES[0]) parts.push(`scale=${scale}`);
  return `?${parts.join("&")}`;
}
