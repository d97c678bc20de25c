/**
 * The chart page. It uses only the public API. What is shown is in the address, so that it can be
 * linked, reloaded and gone back to; what is not needed at once is loaded when it is wanted.
 */

import { socketWithToken } from "./access.js";
import { SCALES, readAddress, writeAddress } from "./address.js";
import { ExchangeClock } from "./exchange-clock.js";
import * as format from "./format.js";
import { loadLibrary, loadStyle } from "./library.js";
import { Market } from "./market.js";
import { Panel } from "./panel.js";
import { SmartTradeClient } from "./smarttrade-client.js";
import { StatusLine } from "./status-line.js";
import { Watchlist } from "./watchlist.js";

const COUNTDOWN_INTERVAL = 500; // ms

const find = (id) => document.getElementById(id);
const clock = new ExchangeClock();
const market = new Market(clock);
const panels = [];
let status = null;
const client = new SmartTradeClient(socketAddress(), { onState: () => status?.draw() });
let active = null; // of the panels, the one that controls apply to
let library = null;
let watchlist = null;
let menu = null; // until it is opened
let table = null; // until it is wanted
let isTable = false;
const look = { overlays: [], rsi: null, scale: SCALES[0] };

function socketAddress() {
  const address = new URL("ws/candles", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  return socketWithToken(address);
}

const notify = (words) => (find("notice").textContent = words);

const shown = () => panels.map(({ symbol, interval }) => ({ symbol, interval }));
const addressOf = (series) => writeAddress({ series, ...look }) + location.hash;

/** `how` is "push" for a step that one may want to go back from, else "replace". */
const remember = (how) => history[`${how}State`](null, "", addressOf(shown()));

async function showAddress() {
  const { search } = location;
  const { series, indicators, scale, problems } = readAddress(search, market);
  const module = indicators && (await import("./indicators.js"));
  if (location.search !== search) return; // gone elsewhere by now
  const wanted = module ? module.parseIndicators(indicators, problems) : { overlays: [], rsi: null };
  Object.assign(look, wanted, { scale });
  notify(problems.length ? `There is no ${problems.join(", ")} here.` : "");
  setPanels(series);
  showLook();
  activate(panels[0]);
  if (search) remember("replace");
}

function setPanels(series) {
  if (series.length > 1) loadStyle("grid");
  while (panels.length > series.length) panels.pop().close();
  while (panels.length < series.length) {
    const panel = new Panel(client, market, look, { onActivate: activate, onCandle: showCandle, onError: notify });
    find("panels").append(panel.element);
    panels.push(panel);
    if (library) panel.startChart(library);
  }
  find("panels").dataset.count = panels.length;
  series.forEach(({ symbol, interval }, index) => panels[index].choose(symbol, interval));
}

/** Controls, title and table are those of this chart from now on. */
function activate(panel) {
  if (panel !== active) active?.setTable(null);
  active = panel;
  for (const each of panels) each.element.toggleAttribute("data-active", each === panel);
  const { symbol, interval } = panel;
  find("symbol").textContent = symbol;
  find("price").textContent = "–";
  watchlist.select(symbol, (each) => {
    const series = shown();
    series[panels.indexOf(panel)] = { symbol: each, interval };
    return addressOf(series);
  });
  for (const button of find("intervals").children) {
    button.setAttribute("aria-pressed", String(button.textContent === interval));
  }
  panel.setTable(isTable ? table : null);
  showDay(symbol);
  if (panel.newest) showCandle(panel);
  status.draw();
}

function choose(symbol, interval, how = "push") {
  if (symbol === active.symbol && interval === active.interval) return;
  active.choose(symbol, interval);
  activate(active);
  remember(how);
}

function showLook() {
  for (const panel of panels) panel.showLook();
  menu?.draw();
}

function showCandle(panel) {
  clock.begun(panel.newest.time);
  if (panel !== active) return;
  find("price").textContent = panel.price;
  status.draw();
}

function showDay(symbol) {
  if (symbol !== active?.symbol) return;
  const day = watchlist.day(symbol);
  const price = (value) => format.price(value, active.decimals);
  const texts = { change: format.percent, high: price, low: price, volume: format.volume };
  for (const [name, text] of Object.entries(texts)) find(`day-${name}`).textContent = day ? text(day[name]) : "–";
  find("day-change").className = day?.change < 0 ? "down" : "up";
}

function showCountdown() {
  const { newest, interval, halt } = active ?? {};
  const left = newest && !halt && client.state.feed === "live" ? clock.left(newest.time, interval) : null;
  find("left").textContent = left === null ? "–" : format.duration(left);
}

async function showTable(wanted = !isTable) {
  isTable = wanted;
  find("view").dataset.shows = isTable ? "table" : "chart";
  find("as-table").setAttribute("aria-pressed", String(isTable));
  if (isTable && !table) {
    const [{ CandleTable }] = await Promise.all([import("./candle-table.js"), loadStyle("table")]);
    table ??= new CandleTable(find("rows"), find("table-zone"));
  }
  active?.setTable(isTable ? table : null);
}

/** For menu and keys, the browser's console, and tests. */
const view = {
  client, market, panels, look, activate, choose, notify, remember, setPanels, showLook, showTable,
  get active() { return active; },
  get chart() { return active?.chart ?? null; },
  get candles() { return active?.held ?? []; },
};
globalThis.smarttrade = view;

function addIntervals() {
  const buttons = market.intervals.map((interval, index) => {
    const title = index < 9 ? `Key ${index + 1}` : "";
    const onclick = () => choose(active.symbol, interval);
    return Object.assign(document.createElement("button"), { type: "button", textContent: interval, title, onclick });
  });
  find("intervals").replaceChildren(...buttons);
}

let keys = null; // until one is pressed

async function press(event) {
  keys ??= await import("./keys.js");
  keys.press(event, view);
}

async function openMenu() {
  const [{ Menu }] = await Promise.all([import("./menu.js"), loadStyle("menu")]);
  menu ??= new Menu(find("menu"), view);
}

async function openSearch() {
  const { Search } = await import("./search.js");
  new Search(find("search"), find("symbols"), (symbol) => choose(symbol, active.interval));
}

status = new StatusLine(client, () => [...new Set([active, ...panels])].filter(Boolean));
status.draw();
const loading = loadLibrary();
await market.load(notify);
addIntervals();
format.useLocalTime(localStorage.getItem("time_zone") === "local");
watchlist = new Watchlist(find("symbols"), client, market, {
  onChoose: (symbol) => choose(symbol, active.interval),
  onDay: showDay,
});
await showAddress();
market.watch(() => {
  for (const panel of panels) panel.refresh();
  watchlist.refresh();
});
addEventListener("popstate", showAddress);
addEventListener("keydown", press);
find("as-table").addEventListener("click", () => showTable());
find("menu").addEventListener("toggle", openMenu, { once: true });
find("search").addEventListener("focus", openSearch, { once: true });
setInterval(showCountdown, COUNTDOWN_INTERVAL);
library = await loading;
if (library) for (const panel of panels) panel.startChart(library);
else {
  notify("The chart library could not be loaded. Tables work without it.");
  find("as-table").hidden = true;
  showTable(true);
}
