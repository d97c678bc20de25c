/** Numbers and times as text. */

const formats = {};
const places = (least, most = least) => ({ minimumFractionDigits: least, maximumFractionDigits: most });

/** With exactly `decimals` places, so that columns do not move; if null, with those that it needs. */
export function price(value, decimals) {
  formats[decimals] ??= new Intl.NumberFormat("en-US", decimals === null ? places(2, 8) : places(decimals));
  return formats[decimals].format(value);
}

const compact = new Intl.NumberFormat("en-US", { notation: "compact", ...places(2) });
export const volume = (value) => compact.format(value);

/** The minus is the typographic one, as wide as the plus. */
export function percent(fraction) {
  const text = `${Math.abs(100 * fraction).toFixed(2)}%`;
  return text === "0.00%" ? text : (fraction < 0 ? "−" : "+") + text;
}

const DAY = 86400; // seconds
let isLocal = false;

/** Show times in this machine's time zone, or in UTC. */
export const useLocalTime = (wanted) => (isLocal = wanted);

/** "UTC", or this machine's distance to it at that time; candles of days are in UTC. */
export function zone(time = Date.now() / 1000, length = 0) {
  if (!isLocal || length >= DAY) return "UTC";
  const text = new Date(time * 1000).toLocaleTimeString("en", { timeZoneName: "shortOffset" });
  return text.replace(/.*GMT/, "UTC");
}

/** Days are the exchange's, in UTC, whatever zone is shown. */
function iso(time, length = 0) {
  const date = new Date(time * 1000);
  const shift = isLocal && length < DAY ? date.getTimezoneOffset() * 60_000 : 0;
  return new Date(date - shift).toISOString();
}

/** The open time of a candle of `length` seconds: seconds only below a minute. */
export function openTime(time, length) {
  return iso(time, length).slice(0, length >= DAY ? 10 : length < 60 ? 19 : 16).replace("T", " ");
}

/** "09:41:07". */
export const clock = (time) => iso(time).slice(11, 19);

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** A mark of the time axis: a date where a day begins in the zone that is shown, else a time. */
export function tick(time, length) {
  const text = iso(time, length);
  const [year, month, day] = text.slice(0, 10).split("-");
  if (length < DAY && text.slice(11, 19) !== "00:00:00") return text.slice(11, length < 60 ? 19 : 16);
  if (day !== "01") return `${Number(day)} ${MONTHS[month - 1]}`;
  return month === "01" ? year : MONTHS[month - 1];
}

/** "0:42", "3:07:00" or "2 d 3 h". */
export function duration(seconds) {
  const hours = Math.floor(seconds / 3600);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return new Date(seconds * 1000).toISOString().slice(11, 19).replace(/^00:0?|^0/, "");
}

export function age(seconds) {
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
