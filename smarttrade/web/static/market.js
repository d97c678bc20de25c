/** What is on offer: symbols, intervals, and what the exchange's listing says of each symbol. */

import { TOKEN_REQUIRED, headers } from "./access.js";
import { fetchSymbols } from "./smarttrade-client.js";

const RETRY_PAUSE = 2000; // ms
const DETAILS_INTERVAL = 15_000; // ms
const CLOCK_INTERVAL = 300_000; // ms
const ANSWER_TIMEOUT = 10_000; // ms

const options = () => ({ headers, signal: AbortSignal.timeout(ANSWER_TIMEOUT) });
const request = (name) => fetch(name, options()).catch(() => null);

export class Market {
  symbols = [];
  intervals = [];
  #details = new Map();
  #clock;

  constructor(clock) {
    this.#clock = clock;
  }

  /** Wait for the server's first answers; `notify` is called with what keeps it from answering. */
  async load(notify) {
    for (;;) {
      const [answer] = await Promise.all([request("intervals"), this.#refresh()]);
      if (answer?.status === 401) notify(TOKEN_REQUIRED);
      if (answer?.ok) ({ intervals: this.intervals } = await answer.json());
      this.symbols = [...this.#details.keys()];
      if (this.symbols.length && this.intervals.length) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE)); // the status line says why
    }
  }

  /** Keep details and clock current; `onChange` is called after each answer. */
  watch(onChange) {
    setInterval(() => this.#refresh().then(onChange), DETAILS_INTERVAL);
    const setClock = async () => {
      const answer = await request("udf/time");
      if (answer?.ok) this.#clock.set(Number(await answer.text()));
    };
    setClock();
    setInterval(setClock, CLOCK_INTERVAL);
  }

  async #refresh() {
    const details = await fetchSymbols(new URL(".", location), options()).catch(() => []);
    for (const each of details) this.#details.set(each.symbol, each);
  }

  /** Decimals of a symbol's prices: its tick size's, or null before that is known. */
  decimals(symbol) {
    return this.#details.get(symbol)?.decimals ?? null;
  }

  /** Why the exchange does not trade the symbol, as it names it; empty if it does. */
  halt(symbol) {
    const status = this.#details.get(symbol)?.status ?? "TRADING";
    return status === "TRADING" ? "" : status;
  }
}
