/**
 * Live candles from SmartTrade's `/ws/candles`, complete again after any interruption.
 *
 * One file without dependencies; `smarttrade-client.d.ts` has its types. Its parts:
 *
 * - `CandleList` holds a series and says what a message changed: a candle at the end, a candle in
 *   the past, or so much that everything is to be drawn again.
 * - `SmartTradeClient` owns the connection: it subscribes, resumes with `since`, detects silence,
 *   and reconnects after growing pauses, unless the server's close code forbids it.
 */

const DAY_AND_BELOW = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 }; // seconds

/** Seconds from one candle to the next; for `1M`, the shortest month. */
export function intervalSeconds(interval) {
  const unit = interval.at(-1);
  return parseInt(interval, 10) * (unit === "M" ? 28 * 86400 : DAY_AND_BELOW[unit]);
}

/** The server's own spelling of a series, by which its messages name it; `1M` stays a month. */
function spelled(symbol, interval) {
  return [symbol.trim().toUpperCase(), interval.replace(/[HDW]$/, (unit) => unit.toLowerCase())];
}

/** What the exchange's listing says of each symbol; `url` is the server's, `http://...`. */
export async function fetchSymbols(url, options) {
  const base = String(url).replace(/\/*$/, "/");
  const answer = await fetch(new URL("symbols?details=1", base), options);
  if (!answer.ok) throw new Error(`${answer.url}: status ${answer.status}`);
  const { details } = await answer.json();
  return details.map(({ symbol, status, tick_size: tickSize, decimals }) => ({ symbol, status, tickSize, decimals }));
}

/** A price format as lightweight-charts takes it; while the tick size is unknown, all decimals there can be. */
export function priceFormat({ tickSize, decimals }) {
  const isKnown = tickSize !== null && decimals !== null;
  return { type: "price", precision: isKnown ? decimals : 8, minMove: isKnown ? tickSize : 1e-8 };
}

/** A series' candles: ascending, one for each time, bounded. */
export class CandleList {
  /** At least so many of the newest stay. */
  keep;
  #candles = [];
  #longest;

  constructor(interval, keep) {
    this.keep = keep;
    this.#longest = interval.endsWith("M") ? 31 * 86400 : intervalSeconds(interval);
  }

  get candles() {
    return this.#candles;
  }

  get newest() {
    return this.#candles.at(-1);
  }

  /**
   * Where to resume: the newest time held, or the last one before a gap, so that it gets filled.
   */
  get since() {
    const gap = this.#candles.findIndex(
      (candle, index) => index > 0 && candle.time - this.#candles[index - 1].time > this.#longest,
    );
    return gap === -1 ? this.newest?.time : this.#candles[gap - 1].time;
  }

  replace(candles) {
    this.#candles = candles.slice(-this.keep);
  }

  /**
   * Take one candle. Returns "update", "correct" or "reset", the least that shows it, or "ignore"
   * for one from before the oldest: held alone, it would look like a gap.
   */
  put(candle) {
    const candles = this.#candles;
    const newest = this.newest;
    if (newest === undefined || candle.time > newest.time) {
      candles.push(candle);
      return this.#trim() ? "reset" : "update";
    }
    if (candle.time < candles[0].time) return "ignore";
    const index = this.#indexOf(candle.time);
    if (candles[index].time === candle.time) {
      candles[index] = candle;
      return index === candles.length - 1 ? "update" : "correct";
    }
    candles.splice(index, 0, candle);
    this.#trim();
    return "reset";
  }

  /** The first place whose candle is not older than `time`; there is one. */
  #indexOf(time) {
    let low = 0;
    let high = this.#candles.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#candles[middle].time < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Cuts a quarter at a time: cutting means drawing everything again. */
  #trim() {
    if (this.#candles.length <= this.keep * 1.25) return false;
    this.#candles.splice(0, this.#candles.length - this.keep);
    return true;
  }
}

const HANDSHAKE_TIMEOUT = 10_000; // ms until `welcome`; a connection that hangs is given up
const MAX_HEARTBEATS_MISSED = 2.5; // of the server's own heartbeat, before silence counts as loss
const PING_AFTER = 2_000; // ms without any message
const SILENT_AFTER = 4_000; // ms without any message, the pong included: what is shown may be old
const LISTEN_INTERVAL = 500; // ms
const PONG_TIMEOUT = 5_000; // ms, after the machine woke up
const FIRST_PAUSE = 500; // ms; doubles
const MAX_PAUSE = 30_000; // ms
const MIN_OVERLOADED_PAUSE = 5_000; // ms, after the server closed because of overload
const STABLE_AFTER = 10_000; // ms of connection after which pauses start small again
const REQUEST_INTERVAL = 250; // ms between two batches of requests: the server limits their rate
const CLOSE_POLICY = 1008; // do not reconnect before the client is fixed
const CLOSE_TOO_BIG = 1009; // the same
const CLOSE_OVERLOADED = 1013; // reconnect later
const MAX_SINGLE_UPDATES = 100; // more than these at once are drawn faster as a reset

export class SmartTradeClient {
  #url;
  #WebSocket;
  #onState;
  #onError;
  #series = new Map(); // "BTCUSDT 1m" -> the candles and their watchers
  #requested = new Map(); // of this connection: the same keys -> the series, and candles requested
  #socket = null;
  #state = {
    phase: "connecting", feed: null, feedSince: null, silent: false, simulated: null, retryAt: null, reason: "",
  };
  #attempt = 0;
  #openedAt = 0;
  #heardAt = 0;
  #candleAt = null;
  #pingedAt = -1;
  #requestedAt = 0;
  #heartbeat = 30_000;
  #connecting = null; // timers
  #requesting = null;
  #watching = null;
  #wake = () => this.#wakeUp();

  constructor(url, { onState = () => {}, onError = () => {}, WebSocket = globalThis.WebSocket } = {}) {
    this.#url = String(url);
    this.#WebSocket = WebSocket;
    this.#onState = onState;
    this.#onError = onError;
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#connect();
  }

  get state() {
    return this.#state;
  }

  /** When the newest candle of any series arrived, in ms by this machine's clock; null before. */
  get candleAt() {
    return this.#candleAt;
  }

  /**
   * Watch a series. `onReset` is given everything held, for `series.setData()`; `onUpdate` one
   * candle at the end, for `series.update()`; `onCorrect` one in the past, for
   * `series.update(candle, true)`. Returns a function that ends it.
   */
  subscribe(asSymbol, asInterval, watcher) {
    const [symbol, interval] = spelled(asSymbol, asInterval);
    const key = `${symbol} ${interval}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { symbol, interval, list: new CandleList(interval, 0), snapshot: 0, watchers: new Map() };
      this.#series.set(key, series);
    }
    const { snapshot = 500, keep = 5000 } = watcher;
    series.watchers.set(watcher, false); // no updates before its first reset
    if (snapshot <= series.snapshot && series.list.newest) reset(series, watcher);
    series.snapshot = Math.max(series.snapshot, snapshot);
    series.list.keep = Math.max(series.list.keep, keep);
    this.#requestSoon();
    return () => {
      series.watchers.delete(watcher);
      if (series.watchers.size > 0 || this.#series.get(key) !== series) return;
      this.#series.delete(key);
      this.#requestSoon();
    };
  }

  /** Close the connection; there is no other. */
  close() {
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#series.clear();
    this.#end("closed by the page");
  }

  // -- the connection ---------------------------------------------------------------------

  #connect() {
    this.#emit({ phase: "connecting", silent: false, retryAt: null, reason: "" });
    this.#requested.clear();
    this.#openedAt = 0;
    this.#heardAt = Date.now();
    const socket = (this.#socket = new this.#WebSocket(this.#url));
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#connecting = setTimeout(() => this.#drop("no answer"), HANDSHAKE_TIMEOUT);
  }

  #opened({ heartbeat, simulated = false }) {
    clearTimeout(this.#connecting);
    this.#openedAt = Date.now();
    this.#heartbeat = heartbeat * 1000;
    this.#watching = setInterval(() => this.#listen(), LISTEN_INTERVAL);
    this.#emit({ phase: "open", simulated });
    this.#requestAll();
  }

  /** Ping a silent server, report one that does not answer, drop it. The wall clock counts sleep, too. */
  #listen() {
    const silence = Date.now() - this.#heardAt;
    if (silence > MAX_HEARTBEATS_MISSED * this.#heartbeat) return this.#drop("silence");
    if (silence > PING_AFTER && this.#pingedAt < this.#heardAt) this.#ping();
    if (silence > SILENT_AFTER && !this.#state.silent) this.#emit({ silent: true });
  }

  #ping() {
    this.#pingedAt = Date.now();
    this.#send({ action: "ping" });
  }

  /** Abandon a connection without waiting for it: on a dead network, closing takes minutes. */
  #drop(reason) {
    const socket = this.#abandon();
    socket?.close();
    this.#pause(reason, 0);
  }

  #lost(code, reason) {
    this.#abandon();
    if (code === CLOSE_POLICY || code === CLOSE_TOO_BIG) {
      this.#end(reason || `the server refused this page (${code})`);
    } else {
      this.#pause(reason, code === CLOSE_OVERLOADED ? MIN_OVERLOADED_PAUSE : 0);
    }
  }

  #abandon() {
    const socket = this.#socket;
    if (socket) socket.onmessage = socket.onclose = null;
    this.#socket = null;
    clearTimeout(this.#connecting);
    clearTimeout(this.#requesting);
    clearInterval(this.#watching);
    this.#requesting = null;
    return socket;
  }

  #pause(reason, least) {
    if (this.#openedAt && Date.now() - this.#openedAt > STABLE_AFTER) this.#attempt = 0;
    const longest = Math.min(MAX_PAUSE, FIRST_PAUSE * 2 ** this.#attempt++);
    const pause = Math.max(least, longest * (0.5 + Math.random() / 2));
    this.#connecting = setTimeout(() => this.#connect(), pause);
    this.#emit({ phase: "waiting", retryAt: Date.now() + pause, reason });
  }

  #end(reason) {
    this.#abandon()?.close();
    this.#emit({ phase: "ended", retryAt: null, reason });
  }

  /** The network is back, or the page is visible again: do not wait for a timer. */
  #wakeUp() {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.#state.phase === "waiting") {
      clearTimeout(this.#connecting);
      this.#connect();
    } else if (this.#state.phase === "open") {
      const since = this.#heardAt;
      const socket = this.#socket;
      this.#ping();
      setTimeout(() => {
        if (this.#socket === socket && this.#heardAt === since) this.#drop("no answer");
      }, PONG_TIMEOUT);
    }
  }

  #emit(changes) {
    this.#state = { ...this.#state, ...changes };
    this.#onState(this.#state);
  }

  // -- requests ---------------------------------------------------------------------------

  #requestSoon() {
    if (this.#state.phase !== "open" || this.#requesting !== null) return;
    const pause = Math.max(0, this.#requestedAt + REQUEST_INTERVAL - Date.now());
    this.#requesting = setTimeout(() => this.#requestAll(), pause);
  }

  /** Request the difference between the watched series and what this connection subscribes to. */
  #requestAll() {
    this.#requesting = null;
    this.#requestedAt = Date.now();
    const gone = [...this.#requested.keys()].filter((key) => !this.#series.has(key));
    const added = [...this.#series].filter(([key, series]) => {
      const requested = this.#requested.get(key);
      return requested?.series !== series || requested.snapshot < series.snapshot;
    });
    if (gone.length) {
      this.#send({ action: "unsubscribe", subscriptions: gone.map(nameSeries) });
      gone.forEach((key) => this.#requested.delete(key));
    }
    if (added.length) {
      const subscriptions = added.map(([key, series]) => this.#request(key, series));
      this.#send({ action: "subscribe", subscriptions });
    }
  }

  /** Resume from what is held; a longer snapshot than any before is requested anew. */
  #request(key, series) {
    const { symbol, interval, snapshot, list } = series;
    const resumes = !this.#requested.has(key) && list.newest !== undefined;
    this.#requested.set(key, { series, snapshot });
    return { symbol, interval, ...(resumes ? { since: list.since } : { snapshot }) };
  }

  #send(request) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(request));
  }

  // -- messages ---------------------------------------------------------------------------

  #receive(data) {
    this.#heardAt = Date.now();
    if (this.#state.silent) this.#emit({ silent: false });
    const message = JSON.parse(data);
    switch (message.type) {
      case "candle": return this.#candle(message);
      case "snapshot": return this.#snapshot(message);
      case "welcome": return this.#opened(message);
      case "status": return this.#emit({ feed: message.feed, feedSince: message.since });
      case "subscribed": return message.errors.forEach((error) => this.#refused(error));
      case "error": return this.#onError(message);
      // Any other type is of a later server, or only a sign of life.
    }
  }

  #candle({ symbol, interval, candle, closed, corrected = false }) {
    this.#candleAt = Date.now();
    const series = this.#series.get(`${symbol} ${interval}`);
    // Before its snapshot, a candle says nothing about those before it.
    if (series?.list.newest) handOver(series, [candle], { closed, corrected });
  }

  #snapshot({ symbol, interval, candles, closed, truncated }) {
    const series = this.#series.get(`${symbol} ${interval}`);
    if (series === undefined) return;
    const first = candles[0];
    const held = series.list.candles[0];
    if (truncated || !held || first?.time <= held.time) {
      // All that there is now, or all that was ever requested.
      series.list.replace(candles);
      for (const watcher of series.watchers.keys()) reset(series, watcher);
    } else {
      handOver(series, candles, { closed, corrected: false });
    }
  }

  #refused(error) {
    const series = this.#series.get(`${error.symbol} ${error.interval}`);
    for (const watcher of series?.watchers.keys() ?? []) watcher.onError?.(error);
    this.#onError(error);
  }
}

function nameSeries(key) {
  const [symbol, interval] = key.split(" ");
  return { symbol, interval };
}

/** Put candles into the list, and call each watcher with the least that shows all of them. */
function handOver(series, candles, details) {
  const { list, watchers } = series;
  const effects = candles.map((candle) => list.put(candle));
  const anew = effects.includes("reset") || candles.length > MAX_SINGLE_UPDATES;
  for (const [watcher, isReady] of watchers) {
    if (anew) reset(series, watcher);
    else if (isReady) candles.forEach((candle, index) => show(watcher, list, candle, effects[index], details));
  }
}

function reset({ list, watchers }, watcher) {
  watchers.set(watcher, true);
  watcher.onReset(list.candles);
}

function show(watcher, list, candle, effect, details) {
  const copy = { ...candle }; // the chart library writes into what it is given
  if (effect === "update") {
    // Of several candles at once, only the last may still be forming.
    const closed = details.closed || candle !== list.newest;
    watcher.onUpdate(copy, { ...details, closed });
  } else if (effect === "ignore") return;
  else if (watcher.onCorrect) watcher.onCorrect(copy, details);
  else watcher.onReset(list.candles);
}
