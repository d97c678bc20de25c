/**
 * The chart page. It uses the public API and nothing else: `GET /symbols`, `GET /intervals`, and
 * the candles of `/ws/candles`.
 *
 * The chosen series is in the address, so that it can be linked, reloaded and gone back to.
 */

import { TOKEN_WANTED, headers, socketWithToken } from "./access.js";
import { CandleTable } from "./candle-table.js";
import { Chart } from "./chart.js";
import * as format from "./format.js";
import { Legend } from "./legend.js";
import { loadLibrary } from "./library.js";
import { SmartTradeClient } from "./smarttrade-client.js";
import { StatusLine } from "./status-line.js";
import { Watchlist } from "./watchlist.js";

const SNAPSHOT = 1000; // candles to begin with: all that the server keeps
const KEEP = 2000; // candles to hold; a page may be open for weeks
const RETRY = 2000; // ms

const find = (id) => document.getElementById(id);
const status = new StatusLine(find("state"), find("age"));
const legend = new Legend(find("legend"));
const table = new CandleTable(find("rows"));
const client = new SmartTradeClient(socketAddress(), { onState: (state) => status.set(state) });

let chart = null; // until the library is there
let isTable = false;
let symbols = [];
let intervals = [];
let watchlist;
let chosen = { symbol: "", interval: "" };
let held = []; // the chosen series' candles
let decimals = 2;
let leave = () => {}; // ends the chosen series' subscription

function socketAddress() {
  const address = new URL("ws/candles", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  return socketWithToken(address);
}

async function names(what) {
  for (;;) {
    try {
      const answer = await fetch(what, { headers });
      if (answer.status === 401) notify(TOKEN_WANTED);
      if (answer.ok) return (await answer.json())[what];
    } catch {
      // No answer; the status line says so, and the next one may come.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

// -- choosing a series ------------------------------------------------------------------------

function link(symbol, interval) {
  return `?${new URLSearchParams({ symbol, interval })}`;
}

/** What the address says, as far as there is such a series. */
function fromAddress() {
  const asked = new URLSearchParams(location.search);
  const symbol = asked.get("symbol")?.toUpperCase() ?? symbols[0];
  const interval = asked.get("interval") ?? intervals[0];
  const unknown = [symbol, interval].filter((one) => ![...symbols, ...intervals].includes(one));
  if (unknown.length) notify(`There is no ${unknown.join(" ")} here.`);
  return {
    symbol: symbols.includes(symbol) ? symbol : symbols[0],
    interval: intervals.includes(interval) ? interval : intervals[0],
  };
}

function choose(symbol, interval, { remember = true } = {}) {
  if (symbol === chosen.symbol && interval === chosen.interval) return;
  leave();
  chosen = { symbol, interval };
  if (remember) history.pushState(null, "", link(symbol, interval));
  held = [];
  find("symbol").textContent = symbol;
  find("price").textContent = "–";
  find("view").setAttribute("aria-busy", "true");
  legend.clear();
  status.begin();
  watchlist.select(symbol);
  watchlist.link((each) => link(each, interval));
  for (const button of find("intervals").children) {
    button.setAttribute("aria-pressed", String(button.textContent === interval));
  }
  chart?.begin(interval);
  leave = client.subscribe(symbol, interval, {
    snapshot: SNAPSHOT,
    keep: KEEP,
    onReset: reset,
    onUpdate: update,
    onCorrect: (candle) => (isTable ? table.reset(held) : chart?.correct(candle)),
    onError: ({ message }) => notify(message),
  });
}

function step(by) {
  const place = symbols.indexOf(chosen.symbol) + by;
  choose(symbols.at(place % symbols.length), chosen.interval);
}

// -- showing it -------------------------------------------------------------------------------

function reset(candles) {
  held = candles;
  decimals = format.decimalsOf(candles);
  find("view").removeAttribute("aria-busy");
  view()?.reset(candles);
  describe();
  if (candles.length) show(candles.at(-1));
}

function update(candle) {
  view()?.update(candle);
  show(candle);
}

function show(candle) {
  status.updated();
  legend.set(candle, decimals);
  const price = format.price(candle.close, decimals);
  find("price").textContent = price;
  document.title = `${price} ${chosen.symbol} ${chosen.interval} · SmartTrade`;
}

function view() {
  return isTable ? table : chart;
}

/** The chart in words, for those who cannot see it; the table has the numbers. */
function describe() {
  const words = `${chosen.symbol} ${chosen.interval}: candlestick chart of ${held.length} candles`;
  find("chart").setAttribute("aria-label", words);
}

function showTable(wanted) {
  isTable = wanted;
  find("view").dataset.shows = isTable ? "table" : "chart";
  find("as-table").setAttribute("aria-pressed", String(isTable));
  view()?.reset(held);
}

function notify(words) {
  find("notice").textContent = words;
}

function startChart(library) {
  if (library === null) {
    notify("The chart library could not be loaded. Prices and tables work without it.");
    find("as-table").disabled = true;
    showTable(true);
    return;
  }
  chart = new Chart(library, find("chart"), (time) => {
    legend.point(time === null ? null : (held.findLast((one) => one.time === time) ?? null));
  });
  if (chosen.interval) chart.begin(chosen.interval);
  if (held.length) chart.reset(held);
}

// -- the page ---------------------------------------------------------------------------------

function addIntervals() {
  const buttons = intervals.map((interval, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = interval;
    if (index < 9) button.title = `Key ${index + 1}`;
    button.addEventListener("click", () => choose(chosen.symbol, interval));
    return button;
  });
  find("intervals").replaceChildren(...buttons);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("#table")) return;
  const interval = intervals[Number(event.key) - 1];
  if (event.key === "ArrowDown") step(1);
  else if (event.key === "ArrowUp") step(-1);
  else if (event.key === "t" && chart) showTable(!isTable);
  else if (interval) choose(chosen.symbol, interval);
  else return;
  event.preventDefault();
}

/** For the browser's console, and for tests. */
globalThis.smarttrade = {
  client,
  get chart() { return chart; },
  get candles() { return held; },
};

const loading = loadLibrary().then(startChart);
[symbols, intervals] = await Promise.all([names("symbols"), names("intervals")]);
addIntervals();
watchlist = new Watchlist(find("symbols"), client, symbols, intervals, (symbol) =>
  choose(symbol, chosen.interval),
);
const { symbol, interval } = fromAddress();
choose(symbol, interval, { remember: false });
addEventListener("popstate", () => {
  const { symbol, interval } = fromAddress();
  choose(symbol, interval, { remember: false });
});
addEventListener("keydown", press);
find("as-table").addEventListener("click", () => showTable(!isTable));
await loading;
