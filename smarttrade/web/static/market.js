/** What is on offer: symbols, intervals, and what the exchange's listing says of each symbol. */

import { TOKEN_REQUIRED, headers } from "./access.js";
import * as format from "./format.js";

const RETRY_PAUSE = 2000; // ms
const DETAILS_INTERVAL = 15_000; // ms
const CLOCK_INTERVAL = 300_000; // ms
const ANSWER_TIMEOUT = 10_000; // ms
const TRADING = "TRADING";

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const request = (address) => fetch(address, { headers, signal: AbortSignal.timeout(ANSWER_TIMEOUT) });

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
    const load = async (name) => {
      for (;;) {
        const answer = await request(name).catch(() => null);
        if (answer?.status === 401) notify(TOKEN_REQUIRED);
        if (answer?.ok) return (await answer.json())[name];
        await pause(RETRY_PAUSE); // the status line says that there is no connection
      }
    };
    [this.symbols, this.intervals] = await Promise.all([load("symbols"), load("intervals")]);
  }

  /** Keep details and clock current; `onChange` is called after each answer. */
  watch(onChange) {
    const refreshDetails = async () => {
      const answer = await request("symbols?details=1").catch(() => null);
      const { details = [] } = answer?.ok ? await answer.json() : {};
      for (const each of details ?? []) this.#details.set(each.symbol, each);
      onChange();
    };
    const refreshClock = async () => {
      const answer = await request("udf/time").catch(() => null);
      const seconds = answer?.ok ? Number(await answer.text()) : NaN;
      if (seconds > 0) this.#clock.set(seconds);
    };
    for (const [refresh, interval] of [[refreshDetails, DETAILS_INTERVAL], [refreshClock, CLOCK_INTERVAL]]) {
      refresh();
      setInterval(refresh, interval);
    }
  }

  /** Decimals of a symbol's prices: its tick size's; before that is known, those that candles need. */
  decimals(symbol, candles) {
    return this.#details.get(symbol)?.decimals ?? format.decimalsOf(candles);
  }

  /** Why the exchange does not trade the symbol, as it names it; empty if it does. */
  halt(symbol) {
    const status = this.#details.get(symbol)?.status ?? TRADING;
    return status === TRADING ? "" : status;
  }
}
