/**
 * One bar. `time` is the UTC epoch second at which it opens, as lightweight-charts takes it; there
 * its type is `UTCTimestamp`, so write `new SmartTradeClient<UTCTimestamp>(url)`.
 */
export interface Candle<Time extends number = number> {
  readonly time: Time;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

/** How the exchange's stream is doing, as seen by the server. */
export type Feed = "live" | "stale" | "down";

export interface ClientState {
  /**
   * - `connecting`: no answer yet
   * - `open`: connected; candles come as the exchange sends them
   * - `waiting`: not connected, the next attempt is at `retryAt`
   * - `ended`: not connected and not coming back: closed here, or the server answered not to
   */
  readonly phase: "connecting" | "open" | "waiting" | "ended";
  /** Null until the server has reported it; the last known one while not connected. */
  readonly feed: Feed | null;
  /** Epoch seconds, the server's clock. */
  readonly feedSince: number | null;
  /** The server has not answered a ping for seconds: what is shown may be old. */
  readonly silent: boolean;
  /** Whether the server's prices are invented by the simulator; null before it has answered. */
  readonly simulated: boolean | null;
  /** Epoch milliseconds, this machine's clock; only when `waiting`. */
  readonly retryAt: number | null;
  /** Why the connection is not there, in words; may be empty. */
  readonly reason: string;
}

/** A refused request: `code` is stable, `message` is a sentence. */
export interface ClientError {
  readonly code: string;
  readonly message: string;
  readonly symbol?: string | null;
  readonly interval?: string | null;
}

export interface CandleDetails {
  /** Whether the candle is final. */
  readonly closed: boolean;
  /** Whether it repairs the past: its final state came after a later candle, it was missing, or it has changed. */
  readonly corrected: boolean;
}

export interface Watcher<Time extends number = number> {
  /** Candles to begin with, 1 to 1000; 500 by default. */
  snapshot?: number;
  /** Candles to hold, the newest, give or take a quarter; 5000 by default. */
  keep?: number;
  /** Everything that is held, ascending: for `series.setData()`. Do not change the array. */
  onReset(candles: readonly Candle<Time>[]): void;
  /** The newest candle's new state, or one after it: for `series.update(candle)`. */
  onUpdate(candle: Candle<Time>, details: CandleDetails): void;
  /** A candle before the newest has changed, or its final state came late: for
   * `series.update(candle, true)`. Without this, `onReset` is called instead. */
  onCorrect?(candle: Candle<Time>, details: CandleDetails): void;
  /** The server does not have this series. */
  onError?(error: ClientError): void;
}

export interface ClientOptions {
  /** Where there is none built in, as in Node 20: the class of the package `ws`. */
  WebSocket?: new (url: string) => unknown;
  /** At every change; for the first time from within the constructor. */
  onState?(state: ClientState): void;
  onError?(error: ClientError): void;
}

/** A connection to `/ws/candles` that stays: it resumes after sleep, restarts and lost networks. */
export declare class SmartTradeClient<Time extends number = number> {
  constructor(url: string | URL, options?: ClientOptions);
  readonly state: ClientState;
  /** When the newest candle of any series arrived, epoch milliseconds by this machine's clock. */
  readonly candleAt: number | null;
  /** Symbols in any case, intervals as `GET /intervals` or charts spell them. Returns a function that ends it. */
  subscribe(symbol: string, interval: string, watcher: Watcher<Time>): () => void;
  close(): void;
}

/** A series' candles: ascending, one for each time, bounded. */
export declare class CandleList {
  constructor(interval: string, keep: number);
  keep: number;
  readonly candles: readonly Candle[];
  readonly newest: Candle | undefined;
  /** Where to resume: the newest time held, or the first that is not final or before a gap. */
  readonly since: number | undefined;
  /** `closed`: whether the last is final. */
  replace(candles: readonly Candle[], closed?: boolean): void;
  put(candle: Candle, closed?: boolean): "update" | "correct" | "reset" | "ignore";
}

/** Seconds from one candle to the next; for `1M`, the shortest month. */
export declare function intervalSeconds(interval: string): number;

/** What the exchange's listing says of a symbol; null while that is unknown. */
export interface SymbolInfo {
  readonly symbol: string;
  /** As the exchange names it: `TRADING`, `HALT`, `BREAK`. */
  readonly status: string | null;
  /** The smallest step of a price. */
  readonly tickSize: number | null;
  /** Digits after the point of a price. */
  readonly decimals: number | null;
}

/** `GET /symbols?details=1` of the server at `url`; `options` are those of `fetch`. */
export declare function fetchSymbols(url: string | URL, options?: RequestInit): Promise<SymbolInfo[]>;

/** A price format for lightweight-charts, from the tick size. */
export declare function priceFormat(symbol: Pick<SymbolInfo, "tickSize" | "decimals">): {
  type: "price";
  precision: number;
  minMove: number;
};
