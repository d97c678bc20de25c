import { CandlestickSeries, createChart, type UTCTimestamp } from "lightweight-charts";
import { useEffect, useRef, useState } from "react";
import { SmartTradeClient, priceFormat, type ClientState, type SymbolInfo } from "smarttrade-client";

interface Props {
  /** One connection for all charts of a page. */
  readonly client: SmartTradeClient<UTCTimestamp>;
  /** Of `fetchSymbols`. */
  readonly details: SymbolInfo;
  readonly interval: string;
}

/** A chart of one series that keeps itself current. */
export function CandleChart({ client, details, interval }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const { symbol } = details;
  const format = priceFormat(details);
  const { precision, minMove } = format;
  useEffect(() => {
    if (place.current === null) return;
    const chart = createChart(place.current, { autoSize: true, timeScale: { timeVisible: true } });
    const series = chart.addSeries(CandlestickSeries, { priceFormat: { type: "price", precision, minMove } });
    const leave = client.subscribe(symbol, interval, {
      onReset: (candles) => series.setData([...candles]),
      onUpdate: (candle) => series.update(candle),
      onCorrect: (candle) => series.update(candle, true),
    });
    return () => {
      leave();
      chart.remove();
    };
  }, [client, symbol, interval, precision, minMove]);
  return <div ref={place} aria-label={`${symbol} ${interval}`} style={{ height: "100%" }} />;
}

/** A client for as long as a component is shown, and its state. */
export function useSmartTrade(url: string): [SmartTradeClient<UTCTimestamp> | null, ClientState | null] {
  const [client, setClient] = useState<SmartTradeClient<UTCTimestamp> | null>(null);
  const [state, setState] = useState<ClientState | null>(null);
  useEffect(() => {
    const opened = new SmartTradeClient<UTCTimestamp>(url, { onState: setState });
    setClient(opened);
    return () => opened.close();
  }, [url]);
  return [client, state];
}
