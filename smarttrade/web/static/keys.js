/** What keys do. Loaded with the first one that is pressed. */

import { toNow } from "./edges.js";
import { fullScreen } from "./full-screen.js";

const PAN = 0.25; // of what is visible
const ZOOM = 1.3;

const find = (id) => document.getElementById(id);

const KEYS = {
  arrowdown: (view) => step(view, 1),
  arrowup: (view) => step(view, -1),
  arrowleft: ({ active }) => show(active, -PAN, 1 - PAN),
  arrowright: ({ active }) => show(active, PAN, 1 + PAN),
  "+": ({ active }) => show(active, 1 - 1 / ZOOM, 1),
  "-": ({ active }) => show(active, 1 - ZOOM, 1),
  home: ({ active }) => toOldest(active),
  end: ({ active }) => active.chart && toNow(active.chart),
  t: (view) => view.active.chart && view.showTable(),
  f: ({ notify }) => fullScreen(notify),
  "/": () => find("search").focus(),
};

/** `view` is what is shown, and changes it. */
export function press(event, view) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("#table, input, details[open]")) return;
  const interval = view.market.intervals[Number(event.key) - 1];
  const act = KEYS[event.key.toLowerCase()];
  if (interval) view.choose(view.active.symbol, interval);
  else if (act) act(view);
  else return;
  event.preventDefault();
}

function step({ market: { symbols }, active, choose }, by) {
  const place = symbols.indexOf(active.symbol) + by;
  choose(symbols.at(place % symbols.length), active.interval, "replace");
}

/** Show what is between two places: 0 is the left edge of what is visible now, 1 its right one. */
function show({ chart }, left, right) {
  if (!chart) return;
  const { from, to } = chart.scale.getVisibleLogicalRange();
  const at = (place) => from + place * (to - from);
  chart.scale.setVisibleLogicalRange({ from: at(left), to: at(right) });
}

function toOldest({ chart }) {
  if (!chart) return;
  const { from, to } = chart.scale.getVisibleLogicalRange();
  chart.scale.setVisibleLogicalRange({ from: -2, to: to - from - 2 });
}
