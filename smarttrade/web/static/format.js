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

const DAY = 86400; // seconds
let isLocal = false;

/** Whether times are shown in this machine's time zone instead of UTC. */
export function useLocalTime(wanted) {
  isLocal = wanted;
}

/** "UTC", or this machine's distance to it at that time. */
export function zone(time = Date.now() / 1000) {
  if (!isLocal) return "UTC";
  const minutes = -new Date(time * 1000).getTimezoneOffset();
  const [hours, rest] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? "−" : "+"}${hours}${rest ? `:${rest}` : ""}`;
}

function iso(time) {
  const date = new Date(time * 1000);
  const shift = isLocal ? date.getTimezoneOffset() * 60_000 : 0;
  return new Date(date.getTime() - shift).toISOString();
}

/** The open time of a candle of `length` seconds: seconds only below a minute, days always in UTC. */
export function openTime(time, length) {
  if (length >= DAY) return new Date(time * 1000).toISOString().slice(0, 10);
  return iso(time).slice(0, length < 60 ? 19 : 16).replace("T", " ");
}

/** "09:41:07". */
export function clock(time) {
  return iso(time).slice(11, 19);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A mark of the time axis: a date where a day begins in the zone that is shown, else a time. */
export function tick(time, length) {
  const text = length >= DAY ? new Date(time * 1000).toISOString() : iso(time);
  const [year, month, day] = text.slice(0, 10).split("-");
  if (length < DAY && text.slice(11, 19) !== "00:00:00") return text.slice(11, length < 60 ? 19 : 16);
  if (day !== "01") return `${Number(day)} ${MONTHS[month - 1]}`;
  return month === "01" ? year : MONTHS[month - 1];
}

/** "0:42", "3:07:00" or "2 d 3 h". */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function age(seconds) {
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
