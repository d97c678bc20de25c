/**
 * Live candles from SmartTrade's `/ws/candles`, complete again after any interruption. One file
 * without dependencies; `smarttrade-client.d.ts` describes what it exports.
 */

const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, M: 28 * 86400 };

export function intervalSeconds(interval) {
  return parseInt(interval, 10) * SECONDS[interval.at(-1)];
}

/** As the server's messages name it; `1M` stays a month. */
const spelled = (interval) => interval.replace(/[HDW]$/, (unit) => unit.toLowerCase());

export async function fetchSymbols(url, options) {
  const base = String(url).replace(/\/*$/, "/");
  const answer = await fetch(`${base}symbols?details=1`, options);
  if (!answer.ok) throw new Error(`${answer.url}: status ${answer.status}`);
  const { details } = await answer.json();
  return details.map(({ tick_size: tickSize, ...others }) => ({ ...others, tickSize }));
}

/** While the tick size is unknown, with all decimals there can be. */
export function priceFormat({ tickSize, decimals }) {
  const isKnown = tickSize !== null && decimals !== null;
  return { type: "price", precision: isKnown ? decimals : 8, minMove: isKnown ? tickSize : 1e-8 };
}

export class CandleList {
  keep;
  #candles = [];
  #forming = new Set(); // times
  #longest;

  constructor(interval, keep) {
    this.keep = keep;
    this.#longest = interval.endsWith("M") ? 31 * 86400 : intervalSeconds(interval);
  }

  get candles() { return this.#candles; }
  get newest() { return this.#candles.at(-1); }

  /** The newest time, or the first that is not final or before a gap. */
  get since() {
    const all = this.#candles;
    const isOpen = ({ time }, index) => this.#forming.has(time) || all[index + 1]?.time - time > this.#longest;
    return (all.find(isOpen) ?? this.newest)?.time;
  }

  replace(candles, closed = true) {
    this.#candles = candles.slice(-this.keep);
    this.#forming = new Set(closed ? [] : [this.newest?.time]);
  }

  /** The least that shows the candle; one from before the oldest is ignored: it would look like a gap. */
  put(candle, closed = true) {
    this.#forming[closed ? "delete" : "add"](candle.time);
    const candles = this.#candles;
    const newest = this.newest;
    if (newest === undefined || candle.time > newest.time) {
      candles.push(candle);
      return this.#trim() ? "reset" : "update";
    }
    if (candle.time < candles[0].time) return "ignore";
    const index = candles.findLastIndex(({ time }) => time < candle.time) + 1;
    if (candles[index].time === candle.time) {
      candles[index] = candle;
      return index === candles.length - 1 ? "update" : "correct";
    }
    candles.splice(index, 0, candle);
    this.#trim();
    return "reset";
  }

  /** Cuts a quarter at a time: cutting means drawing everything again. */
  #trim() {
    if (this.#candles.length <= this.keep * 1.25) return false;
    this.#candles.splice(0, this.#candles.length - this.keep);
    return true;
  }
}

const HANDSHAKE_TIMEOUT = 10_000; // ms until `welcome`
const MAX_HEARTBEATS_MISSED = 2.5; // before silence counts as loss
const PING_AFTER = 2_000; // ms without any message
const SILENT_AFTER = 4_000; // ms without any message: what is shown may be old
const LISTEN_INTERVAL = 500; // ms
const PONG_TIMEOUT = 5_000; // ms, after the machine woke up
const FIRST_PAUSE = 500; // ms; doubles
const MAX_PAUSE = 30_000; // ms
const MIN_OVERLOADED_PAUSE = 5_000; // ms
const STABLE_AFTER = 10_000; // ms of connection after which pauses start small again
const REQUEST_INTERVAL = 250; // ms between two batches of requests: the server limits their rate
const FINAL_CLOSES = [1008, 1009]; // policy, too big
const CLOSE_OVERLOADED = 1013;
const MAX_SINGLE_UPDATES = 100; // at once; more are drawn faster as a reset

export class SmartTradeClient {
  #url;
  #options;
  #series = new Map(); // "BTCUSDT 1m" -> the candles and their watchers
  #requested = new Map(); // by this connection: the same keys
  #socket = null;
  #state = { feed: null, feedSince: null, simulated: null };
  #attempt = 0;
  #openedAt = 0;
  #heardAt = 0;
  #candleAt = null;
  #pingedAt = -1;
  #requestedAt = 0;
  #heartbeat = 30_000;
  #connecting; // timers
  #requesting = null;
  #watching;
  #ended = new AbortController();

  constructor(url, options = {}) {
    this.#url = String(url);
    this.#options = options;
    const wake = [() => this.#wakeUp(), { signal: this.#ended.signal }];
    globalThis.addEventListener?.("online", ...wake);
    globalThis.document?.addEventListener("visibilitychange", ...wake);
    this.#connect();
  }

  get state() { return this.#state; }
  get candleAt() { return this.#candleAt; }

  subscribe(asSymbol, asInterval, watcher) {
    const [symbol, interval] = [asSymbol.trim().toUpperCase(), spelled(asInterval)];
    const key = `${symbol} ${interval}`;
    const none = { symbol, interval, list: new CandleList(interval, 0), snapshot: 0, watchers: new Map() };
    const series = this.#series.get(key) ?? none;
    this.#series.set(key, series);
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

  close() {
    this.#ended.abort();
    this.#series.clear();
    this.#end("closed by the page");
  }

  #connect() {
    this.#emit({ phase: "connecting", silent: false, retryAt: null, reason: "" });
    this.#requested.clear();
    this.#openedAt = 0;
    this.#heardAt = Date.now();
    const Socket = this.#options.WebSocket ?? WebSocket;
    const socket = (this.#socket = new Socket(this.#url));
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

  /** The wall clock counts sleep, too. */
  #listen() {
    const silence = Date.now() - this.#heardAt;
    if (silence > MAX_HEARTBEATS_MISSED * this.#heartbeat) return this.#drop("silence");
    if (silence > PING_AFTER && this.#pingedAt < this.#heardAt) this.#ping();
    if (silence > SILENT_AFTER && !this.#state.silent) this.#emit({ silent: true });
  }

  #ping() {
    this.#pingedAt = Date.now();
    this.#send("ping");
  }

  /** Abandon a connection without waiting for it: on a dead network, closing takes minutes. */
  #drop(reason) {
    this.#abandon()?.close();
    this.#pause(reason, 0);
  }

  #lost(code, reason) {
    this.#abandon();
    if (FINAL_CLOSES.includes(code)) this.#end(reason || `the server refused this page (${code})`);
    else this.#pause(reason, code === CLOSE_OVERLOADED ? MIN_OVERLOADED_PAUSE : 0);
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
    this.#options.onState?.(this.#state);
  }

  #requestSoon() {
    if (this.#state.phase !== "open" || this.#requesting !== null) return;
    const pause = Math.max(0, this.#requestedAt + REQUEST_INTERVAL - Date.now());
    this.#requesting = setTimeout(() => this.#requestAll(), pause);
  }

  /** The difference between the watched series and what this connection subscribes to. */
  #requestAll() {
    this.#requesting = null;
    this.#requestedAt = Date.now();
    const gone = [...this.#requested].filter(([key]) => !this.#series.has(key));
    const added = [...this.#series].filter(([key, series]) => {
      const requested = this.#requested.get(key);
      return requested?.series !== series || requested.snapshot < series.snapshot;
    });
    gone.forEach(([key]) => this.#requested.delete(key));
    this.#send("unsubscribe", gone.map(([, { series: { symbol, interval } }]) => ({ symbol, interval })));
    this.#send("subscribe", added.map(([key, series]) => this.#request(key, series)));
  }

  /** Resume from what is held; a longer snapshot than any before is requested again. */
  #request(key, series) {
    const { symbol, interval, snapshot, list } = series;
    const resumes = !this.#requested.has(key) && list.newest !== undefined;
    this.#requested.set(key, { series, snapshot });
    return { symbol, interval, ...(resumes ? { since: list.since } : { snapshot }) };
  }

  #send(action, subscriptions) {
    if (this.#socket?.readyState !== 1 || subscriptions?.length === 0) return;
    this.#socket.send(JSON.stringify({ action, subscriptions }));
  }

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
      case "error": return this.#options.onError?.(message);
      // Others are of a later server.
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
    const [held] = series.list.candles;
    if (truncated || !held || candles[0]?.time <= held.time) {
      // All that there is now, or all that was ever requested.
      series.list.replace(candles, closed);
      for (const watcher of series.watchers.keys()) reset(series, watcher);
    } else {
      handOver(series, candles, { closed, corrected: false });
    }
  }

  #refused(error) {
    const series = this.#series.get(`${error.symbol} ${error.interval}`);
    for (const watcher of series?.watchers.keys() ?? []) watcher.onError?.(error);
    this.#options.onError?.(error);
  }
}

/** Put candles into the list, and call each watcher with the least that shows all of them. */
function handOver(series, candles, details) {
  const { list, watchers } = series;
  const changes = candles.map((candle, index) => {
    const closed = details.closed || index < candles.length - 1; // only the last may be forming
    return { candle, closed, effect: list.put(candle, closed) };
  });
  const isWhole = changes.some(({ effect }) => effect === "reset") || candles.length > MAX_SINGLE_UPDATES;
  for (const [watcher, isReady] of watchers) {
    if (isWhole) reset(series, watcher);
    else if (isReady) changes.forEach((change) => show(watcher, list, change, details.corrected));
  }
}

function reset({ list, watchers }, watcher) {
  watchers.set(watcher, true);
  watcher.onReset(list.candles);
}

function show(watcher, list, { candle, closed, effect }, corrected) {
  const copy = { ...candle }; // the chart library writes into it
  if (effect === "update") watcher.onUpdate(copy, { closed, corrected });
  else if (effect === "ignore") return;
  else if (watcher.onCorrect) watcher.onCorrect(copy, { closed, corrected: true });
  else watcher.onReset(list.candles);
}
