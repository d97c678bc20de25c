/**
 * What the page's address says, and the address of what is shown:
 * `?symbol=BTCUSDT&interval=1m&more=ETHUSDT:5m&ma=20,ema=50,vwap&rsi=14&scale=log`.
 */

const MAX_CHARTS = 4;
const INDICATORS = ["ma", "ema", "vwap", "rsi"];
export const SCALES = ["linear", "log", "percent"];

/** An interval in the server's spelling, or undefined; `1M` is a month and never a minute. */
export function findInterval(text, intervals) {
  const spelled = text.replace(/[HDW]$/, (unit) => unit.toLowerCase());
  return [text, spelled, `1${spelled}`].find((each) => intervals.includes(each));
}

/** The view that an address asks for, and the words that name nothing; `indicators` is a text. */
export function readAddress(search, { symbols, intervals }) {
  const query = new URLSearchParams(search);
  const problems = [];
  const among = (known, wanted, find = (text) => known.find((each) => each === text)) => {
    const found = wanted === null ? known[0] : find(wanted.trim());
    if (found === undefined) problems.push(wanted.slice(0, 20));
    return found ?? known[0];
  };
  const one = (symbol, interval) => ({
    symbol: among(symbols, symbol?.toUpperCase() ?? null),
    interval: among(intervals, interval, (text) => findInterval(text, intervals)),
  });
  const series = [one(query.get("symbol"), query.get("interval"))];
  for (const pair of (query.get("more") ?? "").split(",").filter(Boolean).slice(0, MAX_CHARTS - 1)) {
    const [symbol, interval = series[0].interval] = pair.split(":");
    series.push(one(symbol, interval));
  }
  const words = [...query].filter(([name]) => INDICATORS.includes(name));
  const indicators = words.map(([name, value]) => (value ? `${name}=${value}` : name)).join(",");
  const scale = among(SCALES, query.get("scale"));
  return { series, indicators, scale, problems };
}

/** The address of a view; `overlays` and `rsi` are words as `ma=20`. */
export function writeAddress({ series, overlays, rsi, scale }) {
  const [first, ...more] = series.map(({ symbol, interval }) => [encodeURIComponent(symbol), interval]);
  const parts = [`symbol=${first[0]}`, `interval=${first[1]}`];
  if (more.length) parts.push(`more=${more.map((pair) => pair.join(":")).join(",")}`);
  if (overlays.length) parts.push(overlays.join(","));
  if (rsi) parts.push(rsi);
  if (scale !== SCALES[0]) parts.push(`scale=${scale}`);
  return `?${parts.join("&")}`;
}
