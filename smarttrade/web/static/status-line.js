/** Whether what is shown is live: in words, as a colour, over the chart and in the title. */

import * as format from "./format.js";

const REDRAW_INTERVAL = 500; // ms
const SILENT_AFTER = 3500; // ms without any candle of any series; the exchange sends changes every 2 s
const OVERDUE = 15; // seconds without an update of the chosen series

const find = (id) => document.getElementById(id);

export class StatusLine {
  #client;
  #chosen = { name: "", price: null, halt: "" };
  #updatedAt = null;

  constructor(client) {
    this.#client = client;
    setInterval(() => this.draw(), REDRAW_INTERVAL);
  }

  /** Another series was chosen. */
  begin(name) {
    this.#chosen = { name, price: null, halt: "" };
    this.#updatedAt = null;
    this.draw();
  }

  /** A candle of the chosen series came just now. While the feed is not live, that is old news. */
  updated(price) {
    this.#chosen.price = price;
    if (this.#client.state.feed === "live") this.#updatedAt = Date.now();
    this.draw();
  }

  setHalt(halt) {
    this.#chosen.halt = halt;
    this.draw();
  }

  draw() {
    const { state, candleAt } = this.#client;
    const { kind, title, words, more = "", banner = "" } = judge(state, candleAt, this.#chosen.halt);
    document.body.dataset.state = kind;
    setText(find("state"), words);
    setText(find("banner"), banner);
    const seconds = this.#updatedAt === null ? null : (Date.now() - this.#updatedAt) / 1000;
    setText(find("age"), [more, updated(seconds)].filter(Boolean).join(", "));
    find("age").classList.toggle("old", seconds !== null && seconds > OVERDUE);
    find("simulated").hidden = state.simulated !== true;
    const shown = [title || this.#chosen.price, this.#chosen.name].filter(Boolean).join(" ");
    document.title = `${state.simulated ? "SIMULATED " : ""}${shown} · SmartTrade`;
  }
}

/** Only a change is read aloud by a screen reader. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function updated(seconds) {
  if (seconds === null) return "";
  return seconds < 1 ? "updated just now" : `updated ${format.age(seconds)} ago`;
}

/** A kind for the colour, the title without a price (empty while live), and words. */
function judge(state, candleAt, halt) {
  if (state.phase === "connecting") return { kind: "pending", title: "CONNECTING", words: "Connecting" };
  if (state.phase === "waiting") {
    const more = `next try in ${Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000))} s`;
    const banner = "NO CONNECTION to the server: what is shown is old.";
    return { kind: "down", title: "NO CONNECTION", words: "No connection", more, banner };
  }
  if (state.phase === "ended") {
    const banner = "DISCONNECTED by the server: what is shown is old.";
    return { kind: "down", title: "DISCONNECTED", words: "Disconnected", more: state.reason, banner };
  }
  if (state.silent) {
    const banner = "NO ANSWER from the server: what is shown is old.";
    return { kind: "down", title: "NO ANSWER", words: "No answer", banner };
  }
  return judgeFeed(state, candleAt) ?? (halt ? halted(halt) : { kind: "live", title: "", words: "Live" });
}

/** Null while the feed is live and candles come. */
function judgeFeed({ feed, feedSince }, candleAt) {
  const since = feedSince ? `since ${format.clock(feedSince)} ${format.zone(feedSince)}` : "";
  if (feed === null) return { kind: "pending", title: "CONNECTED", words: "Connected" };
  if (feed === "down") {
    const banner = "DOWN: the exchange cannot be reached, what is shown is old.";
    return { kind: "down", title: "DOWN", words: "Exchange unreachable", more: since, banner };
  }
  if (feed === "stale") {
    const banner = "STALE: the exchange sends nothing, what is shown is old.";
    return { kind: "stale", title: "STALE", words: "Exchange silent", more: since, banner };
  }
  if (candleAt === null || Date.now() - candleAt <= SILENT_AFTER) return null;
  const banner = `SILENT: no update of any symbol for ${format.age((Date.now() - candleAt) / 1000)}.`;
  return { kind: "stale", title: "SILENT", words: "No updates", banner };
}

/** The chart says it too. */
function halted(status) {
  return { kind: "halted", title: "HALTED", words: "Halted", more: `the exchange says ${status}` };
}
