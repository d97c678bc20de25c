/** Whether what one sees is live, in words, and how old it is. */

import * as format from "./format.js";

const EVERY = 500; // ms between two looks at the clock
const SILENT_AFTER = 15; // seconds without an update before the age is worth a colour

export class StatusLine {
  #words;
  #age;
  #state = null;
  #updatedAt = null;

  constructor(words, age) {
    this.#words = words;
    this.#age = age;
    setInterval(() => this.#show(), EVERY);
  }

  set(state) {
    this.#state = state;
    this.#show();
  }

  /** A candle of the chosen series came just now. While the feed is not live, that is old news. */
  updated() {
    if (this.#state?.feed === "live") this.#updatedAt = Date.now();
  }

  /** Another series was chosen. */
  begin() {
    this.#updatedAt = null;
  }

  #show() {
    const [kind, words, more] = describe(this.#state);
    document.body.dataset.state = kind;
    // Only a change is worth a screen reader's breath.
    if (this.#words.textContent !== words) this.#words.textContent = words;
    const seconds = this.#updatedAt === null ? null : (Date.now() - this.#updatedAt) / 1000;
    this.#age.textContent = [more, updated(seconds)].filter(Boolean).join(", ");
    this.#age.classList.toggle("old", seconds !== null && seconds > SILENT_AFTER);
  }
}

function updated(seconds) {
  if (seconds === null) return "";
  return seconds < 1 ? "updated just now" : `updated ${format.age(seconds)} ago`;
}

/** A kind, for the colour; the words; and what changes too often to be read aloud. */
function describe(state) {
  if (state === null || state.phase === "connecting") return ["pending", "Connecting", ""];
  if (state.phase === "waiting") {
    const seconds = Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000));
    return ["down", "No connection", `next try in ${seconds} s`];
  }
  if (state.phase === "ended") return ["down", "Disconnected", state.reason];
  const since = state.feedSince ? `since ${format.clock(state.feedSince)} UTC` : "";
  if (state.feed === "live") return ["live", "Live", ""];
  if (state.feed === "stale") return ["stale", "Exchange silent", since];
  if (state.feed === "down") return ["down", "Exchange unreachable", since];
  return ["pending", "Connected", ""];
}
