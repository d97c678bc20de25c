import { init, type KLineData, type Period } from "klinecharts";
import { SmartTradeClient, fetchSymbols, type Candle } from "smarttrade-client";

const SERVER = "127.0.0.1:8000";
const MINUTE: Period = { type: "minute", span: 1 };

const bar = ({ time, ...values }: Candle): KLineData => ({ timestamp: time * 1000, ...values });

/** Draws a symbol's minutes into an element and keeps them current; returns a function that ends it. */
export async function showMinutes(element: HTMLElement, symbol: string): Promise<() => void> {
  const [details] = (await fetchSymbols(`http://${SERVER}`)).filter((each) => each.symbol === symbol);
  const chart = init(element);
  if (chart === null) throw new Error("no chart");
  let held: readonly Candle[] = [];
  let update: (data: KLineData) => void = () => {};
  chart.setDataLoader({
    getBars: ({ type, callback }) => callback(type === "init" ? held.map(bar) : [], false),
    subscribeBar: ({ callback }) => (update = callback),
  });
  chart.setSymbol({ ticker: symbol, pricePrecision: details?.decimals ?? 8 });
  chart.setPeriod(MINUTE);
  const redraw = () => chart.resetData();
  const client = new SmartTradeClient(`ws://${SERVER}/ws/candles`);
  client.subscribe(symbol, "1m", {
    onReset: (candles) => {
      held = candles;
      redraw();
    },
    onUpdate: (candle) => update(bar(candle)),
    onCorrect: redraw,
  });
  return () => client.close();
}
