/** Numbers and times as text. */

const formats = new Map();

/** With exactly `decimals` places, so that a column does not move when the last one is a zero. */
export function price(value, decimals) {
  if (!formats.has(decimals)) {
    const places = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    formats.set(decimals, new Intl.NumberFormat("en-US", places));
  }
  return formats.get(decimals).format(value);
}

const compact = new Intl.NumberFormat("en-US", {
  notation: "compact",
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

export function volume(value) {
  return compact.format(value);
}

/** The minus is the typographic one, as wide as the plus. */
export function percent(fraction) {
  const text = `${Math.abs(100 * fraction).toFixed(2)}%`;
  if (text === "0.00%") return text;
  return (fraction < 0 ? "−" : "+") + text;
}

/** Decimal places that it takes to show these candles' prices: 2 to 8. */
export function decimalsOf(candles) {
  let decimals = 2;
  for (const { open, high, low, close } of candles.slice(-50)) {
    for (const value of [open, high, low, close]) {
      while (decimals < 8 && Math.abs(Number(value.toFixed(decimals)) - value) > 1e-9) decimals++;
    }
  }
  return decimals;
}

/** "2024-12-01 09:41", in UTC. */
export function minute(time) {
  return new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ");
}

/** "09:41:07", in UTC. */
export function clock(time) {
  return new Date(time * 1000).toISOString().slice(11, 19);
}

export function age(seconds) {
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
