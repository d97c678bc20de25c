/**
 * The chart page. It uses the public API and nothing else: `GET /symbols`, `GET /intervals`, and
 * the candles of `/ws/candles`.
 *
 * What is shown is in the address, so that it can be linked, reloaded and gone back to.
 */

import { socketWithToken } from "./access.js";
import * as addresses from "./address.js";
import { CandleTable } from "./candle-table.js";
import { ExchangeClock } from "./exchange-clock.js";
import * as format from "./format.js";
import { loadLibrary } from "./library.js";
import { Market } from "./market.js";
import { Menu } from "./menu.js";
import { Panel } from "./panel.js";
import { SmartTradeClient } from "./smarttrade-client.js";
import { StatusLine } from "./status-line.js";
import { Watchlist } from "./watchlist.js";

const COUNTDOWN_INTERVAL = 500; // ms
const PAN = 0.25; // of what is visible
const ZOOM = 1.3;
const ZONE_KEY = "time_zone";

const find = (id) => document.getElementById(id);
let status = null;
const client = new SmartTradeClient(socketAddress(), { onState: () => status?.draw() });
status = new StatusLine(client);
const clock = new ExchangeClock();
const market = new Market(clock);
const table = new CandleTable(find("rows"), find("table-zone"));
const menu = new Menu(find("menu"), { onLook: setLook, onCharts: setCharts, onZone: setZone, onPicture: savePicture, onFullScreen: fullScreen });
const panels = [];
let active = null; // of the panels, the one that controls apply to
let library = null;
let watchlist = null;
let isTable = false;
let look = { overlays: [], rsi: null, scale: addresses.SCALES[0] };

function socketAddress() {
  const address = new URL("ws/candles", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  return socketWithToken(address);
}

function notify(words) {
  find("notice").textContent = words;
}

// -- the address ------------------------------------------------------------------------------

const shown = () => panels.map(({ symbol, interval }) => ({ symbol, interval }));

/** `how` is "push" for a step that one may want to go back from, else "replace". */
function remember(how) {
  history[`${how}State`](null, "", addresses.writeAddress({ series: shown(), ...look }) + location.hash);
}

function showAddress() {
  const { series, problems, ...wanted } = addresses.readAddress(location.search, market);
  notify(problems.length ? `There is no ${problems.join(", ")} here.` : "");
  look = wanted;
  setPanels(series);
  activate(panels[0]);
  showLook();
  if (location.search) remember("replace");
}

// -- charts -----------------------------------------------------------------------------------

function setPanels(series) {
  while (panels.length > series.length) panels.pop().close();
  while (panels.length < series.length) {
    const panel = new Panel(client, market, { onActivate: activate, onCandle: showCandle, onError: notify });
    find("panels").append(panel.element);
    panels.push(panel);
    panel.setLook(look);
    if (library) panel.startChart(library);
  }
  find("panels").dataset.count = panels.length;
  series.forEach(({ symbol, interval }, index) => panels[index].choose(symbol, interval));
  menu.showCharts(panels.length);
}

/** Controls, title and table are those of this chart from now on. */
function activate(panel) {
  if (panel !== active) active?.setTable(null);
  active = panel;
  for (const each of panels) each.element.toggleAttribute("data-active", each === panel);
  const { symbol, interval } = panel;
  find("symbol").textContent = symbol;
  find("price").textContent = "–";
  status.begin(`${symbol} ${interval}`);
  watchlist.select(symbol);
  watchlist.link((each) => {
    const series = shown();
    series[panels.indexOf(panel)] = { symbol: each, interval };
    return addresses.writeAddress({ series, ...look });
  });
  for (const button of find("intervals").children) {
    button.setAttribute("aria-pressed", String(button.textContent === interval));
  }
  panel.setTable(isTable ? table : null);
  status.setHalt(market.halt(symbol));
  showDay(symbol);
  if (panel.newest) showCandle(panel);
}

function choose(symbol, interval, how = "push") {
  if (symbol === active.symbol && interval === active.interval) return;
  active.choose(symbol, interval);
  activate(active);
  remember(how);
}

function step(by) {
  const place = market.symbols.indexOf(active.symbol) + by;
  choose(market.symbols.at(place % market.symbols.length), active.interval, "replace");
}

function setCharts(count) {
  const series = shown().slice(0, count);
  const others = market.symbols.filter((each) => !series.some(({ symbol }) => symbol === each));
  while (series.length < count) {
    series.push({ symbol: others.shift() ?? active.symbol, interval: active.interval });
  }
  setPanels(series);
  if (!panels.includes(active)) activate(panels[0]);
  remember("push");
}

function setLook(changes) {
  look = { ...look, ...changes };
  showLook();
  remember("replace");
}

function showLook() {
  for (const panel of panels) panel.setLook(look);
  menu.showLook(look);
}

function setZone(isLocal) {
  format.useLocalTime(isLocal);
  localStorage.setItem(ZONE_KEY, isLocal ? "local" : "utc");
  menu.showZone(isLocal);
  for (const panel of panels) panel.redrawTimes();
}

// -- what is written --------------------------------------------------------------------------

function showCandle(panel) {
  clock.begun(panel.newest.time);
  if (panel !== active) return;
  const price = format.price(panel.newest.close, panel.decimals);
  find("price").textContent = price;
  status.updated(price);
}

function showDay(symbol) {
  if (symbol !== active?.symbol) return;
  const day = watchlist.day(symbol);
  const price = (value) => format.price(value, active.decimals);
  const texts = day
    ? [format.percent(day.change), price(day.high), price(day.low), format.volume(day.volume)]
    : ["–", "–", "–", "–"];
  ["change", "high", "low", "volume"].forEach((name, index) => (find(`day-${name}`).textContent = texts[index]));
  find("day-change").className = day?.change < 0 ? "down" : "up";
}

function showCountdown() {
  const { newest, interval } = active;
  const left = newest && client.state.feed === "live" ? clock.left(newest.time, interval) : null;
  find("left").textContent = left === null ? "–" : format.duration(left);
}

function showTable(wanted) {
  isTable = wanted;
  find("view").dataset.shows = isTable ? "table" : "chart";
  find("as-table").setAttribute("aria-pressed", String(isTable));
  active?.setTable(isTable ? table : null);
}

async function savePicture() {
  if (!active.chart) return;
  const { symbol, interval, newest } = active;
  const time = newest ? `${format.openTime(newest.time, 60)} ${format.zone(newest.time)}` : "";
  const caption = [document.title.split(" · ")[0], time].join("  ");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await active.chart.picture(caption));
  link.download = `${symbol}-${interval}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => notify("This browser allows no full screen."));
}

// -- the page ---------------------------------------------------------------------------------

function addIntervals() {
  const buttons = market.intervals.map((interval, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = interval;
    if (index < 9) button.title = `Key ${index + 1}`;
    button.addEventListener("click", () => choose(active.symbol, interval));
    return button;
  });
  find("intervals").replaceChildren(...buttons);
}

const KEYS = {
  arrowdown: () => step(1),
  arrowup: () => step(-1),
  arrowleft: () => active.chart?.pan(-PAN),
  arrowright: () => active.chart?.pan(PAN),
  "+": () => active.chart?.zoom(1 / ZOOM),
  "-": () => active.chart?.zoom(ZOOM),
  home: () => active.chart?.toOldest(),
  end: () => active.chart?.toNewest(),
  t: () => active.chart && showTable(!isTable),
  f: fullScreen,
  "/": () => find("search").focus(),
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("#table, input, details[open]")) return;
  const interval = market.intervals[Number(event.key) - 1];
  const act = KEYS[event.key.toLowerCase()];
  if (interval) choose(active.symbol, interval);
  else if (act) act();
  else return;
  event.preventDefault();
}

function startCharts(found) {
  library = found;
  if (library === null) {
    notify("The chart library could not be loaded. Prices and tables work without it.");
    find("as-table").disabled = true;
    showTable(true);
  } else for (const panel of panels) panel.startChart(library);
}

/** For the browser's console, and for tests. */
globalThis.smarttrade = {
  client,
  get chart() { return active?.chart ?? null; },
  get candles() { return active?.held ?? []; },
};

const loading = loadLibrary();
await market.load(notify);
addIntervals();
format.useLocalTime(localStorage.getItem(ZONE_KEY) === "local");
menu.showZone(localStorage.getItem(ZONE_KEY) === "local");
watchlist = new Watchlist(find("symbols"), find("search"), client, market, {
  onChoose: (symbol) => choose(symbol, active.interval),
  onDay: showDay,
});
showAddress();
market.watch(() => {
  for (const panel of panels) panel.refresh();
  watchlist.refresh();
  status.setHalt(market.halt(active.symbol));
});
addEventListener("popstate", showAddress);
addEventListener("keydown", press);
find("as-table").addEventListener("click", () => showTable(!isTable));
setInterval(showCountdown, COUNTDOWN_INTERVAL);
startCharts(await loading);
