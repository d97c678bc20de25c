/** Whether what is shown is live: in words, as a colour, over the chart and in the title. */

import * as format from "./format.js";

const REDRAW_INTERVAL = 500; // ms
const ALL_SILENT_AFTER = 3500; // ms without any candle of any series; the exchange sends changes every 2 s
const OLD = "what is shown is old.";

/** By the title: the kind for the colour, words, and the banner's after the title. */
const STATES = {
  CONNECTING: ["pending", "Connecting"],
  "NO CONNECTION": ["down", "No connection", ` to the server: ${OLD}`],
  DISCONNECTED: ["down", "Disconnected", ` by the server: ${OLD}`],
  "NO ANSWER": ["down", "No answer", ` from the server: ${OLD}`],
  DOWN: ["down", "Exchange unreachable", `: the exchange cannot be reached, ${OLD}`],
  STALE: ["stale", "Exchange silent", `: the exchange sends nothing, ${OLD}`],
  SILENT: ["stale", "No updates"],
  HALTED: ["halted", "Halted"],
  "": ["live", "Live"],
};

const find = (id) => document.getElementById(id);

export class StatusLine {
  #client;
  #panels;

  /** `panels` returns all charts, the active one first. */
  constructor(client, panels) {
    this.#client = client;
    this.#panels = panels;
    setInterval(() => this.draw(), REDRAW_INTERVAL);
  }

  draw() {
    const { state, candleAt } = this.#client;
    const panels = this.#panels();
    const [panel] = panels;
    for (const each of panels) each.drawNote();
    const silence = candleAt === null ? 0 : Date.now() - candleAt;
    const title = judge(state, silence, panel);
    const [kind, words, banner] = STATES[title];
    document.body.dataset.state = kind;
    setText("state", words);
    setText("banner", title === "SILENT" ? silent(silence, panel) : banner ? title + banner : "");
    setText("age", [details(state, panel), updated(panel?.age)].filter(Boolean).join(", "));
    find("age").classList.toggle("old", panel?.isSilent ?? false);
    find("simulated").hidden = state.simulated !== true;
    const parts = [state.simulated ? "SIMULATED" : "", title || panel.price, panel?.symbol, panel?.interval];
    document.title = `${parts.filter(Boolean).join(" ")} · SmartTrade`;
  }
}

/** Only a change is read aloud by a screen reader. */
function setText(id, text) {
  if (find(id).textContent !== text) find(id).textContent = text;
}

/** The title while what is shown is not live, else nothing. */
function judge({ phase, silent, feed }, silence, panel) {
  if (phase === "waiting") return "NO CONNECTION";
  if (phase === "ended") return "DISCONNECTED";
  if (silent) return "NO ANSWER";
  if (phase === "connecting" || feed === null || !panel) return "CONNECTING";
  if (feed !== "live") return feed.toUpperCase();
  if (silence > ALL_SILENT_AFTER) return "SILENT";
  if (panel.halt) return "HALTED";
  return panel.isSilent ? "SILENT" : "";
}

function silent(silence, panel) {
  if (silence <= ALL_SILENT_AFTER) return panel.note;
  return `SILENT: no update of any symbol for ${format.age(silence / 1000)}.`;
}

function details({ phase, retryAt, reason, feed, feedSince }, panel) {
  if (phase === "waiting") return `next try in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`;
  if (phase === "ended") return reason;
  if (feed !== "live" && feedSince) return `since ${format.clock(feedSince)} ${format.zone(feedSince)}`;
  return panel?.halt ? `the exchange says ${panel.halt}` : "";
}

function updated(seconds) {
  return seconds === undefined ? "" : `updated ${seconds < 1 ? "just now" : `${format.age(seconds)} ago`}`;
}
