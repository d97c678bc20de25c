import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { argv: string[] };

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("no answer");
  return value;
}

const client = createClient<paths>({ baseUrl: must(process.argv[2]) });
const series = { symbol: "BTCUSDT", interval: "1m" };

const page = must((await client.GET("/candles/{symbol}/{interval}", { params: { path: series, query: { limit: 3 } } })).data);
if (typeof page === "string") throw new Error("CSV was not asked for");
const closes: number[] = page.candles.map(({ close }) => close);
const { details } = must((await client.GET("/symbols", { params: { query: { details: 1 } } })).data);
const decimals: (number | null)[] = (details ?? []).map((each: components["schemas"]["SymbolInfo"]) => each.decimals);
const { intervals } = must((await client.GET("/intervals")).data);
const ready = must((await client.GET("/ready", { params: { query: { for: "traffic" } } })).data);
const status = must((await client.GET("/streaming/status")).data);
const system = must((await client.GET("/system")).data);

const symbol = must((await client.GET("/udf/symbols", { params: { query: { symbol: "BTCUSDT" } } })).data);
const scale = "pricescale" in symbol ? symbol.pricescale : symbol.errmsg;
const range = { symbol: "BTCUSDT", resolution: "1", to: page.candles[0]?.time ?? 0, countback: 2 };
const history = must((await client.GET("/udf/history", { params: { query: range } })).data);
const times = history.s === "ok" ? history.t : history.s;
const refused = await client.GET("/candles/{symbol}/{interval}", { params: { path: { ...series, symbol: "NOPE" } } });

console.log(
  JSON.stringify({
    closes: closes.length,
    decimals: decimals.length,
    intervals,
    ready: ready.status,
    series: status.per_symbol.length,
    root: system.children.length > 0,
    scale,
    times: times.length,
    code: refused.error?.code,
  }),
);
