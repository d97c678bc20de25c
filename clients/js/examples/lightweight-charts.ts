import { CandlestickSeries, createChart, type UTCTimestamp } from "lightweight-charts";
import { SmartTradeClient, fetchSymbols, priceFormat, type ClientState } from "smarttrade-client";

const SERVER = "127.0.0.1:8000";

/** Draws a series into an element and keeps it current; returns a function that ends it. */
export async function showCandles(element: HTMLElement, symbol: string, interval: string): Promise<() => void> {
  const [details] = (await fetchSymbols(`http://${SERVER}`)).filter((each) => each.symbol === symbol);
  const chart = createChart(element, { autoSize: true, timeScale: { timeVisible: true } });
  const series = chart.addSeries(CandlestickSeries, details ? { priceFormat: priceFormat(details) } : {});
  const client = new SmartTradeClient<UTCTimestamp>(`ws://${SERVER}/ws/candles`, {
    onState: (state) => element.classList.toggle("not-live", !isLive(state)),
  });
  client.subscribe(symbol, interval, {
    onReset: (candles) => series.setData([...candles]),
    onUpdate: (candle) => series.update(candle),
    onCorrect: (candle) => series.update(candle, true),
  });
  return () => {
    client.close();
    chart.remove();
  };
}

function isLive({ phase, feed, silent }: ClientState): boolean {
  return phase === "open" && feed === "live" && !silent;
}
