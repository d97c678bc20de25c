// The exchange's updates, as a peer in Node reads and encodes them: each once, for all clients.

import WebSocket from "ws";

const list = (name) => process.env[name].split(",");

const streams = list("SMARTTRADE_SYMBOLS").flatMap((symbol) =>
  list("SMARTTRADE_INTERVALS").map((interval) => `${symbol.toLowerCase()}@kline_${interval}`),
);

export const topicOf = (symbol, interval) => `${symbol}@${interval}`;

// JSON.stringify would write 96440 for 96440.0; all servers send the same bytes.
function decimal(text) {
  const number = Number(text);
  return Number.isInteger(number) ? `${number}.0` : `${number}`;
}

// The message that SmartTrade's clients receive.
function encode({ s: symbol, i: interval, t, o, h, l, c, v, x }) {
  return (
    `{"type":"candle","symbol":"${symbol}","interval":"${interval}","candle":{"time":${t / 1000},` +
    `"open":${decimal(o)},"high":${decimal(h)},"low":${decimal(l)},"close":${decimal(c)},` +
    `"volume":${decimal(v)}},"closed":${x}}`
  );
}

/** Call publish(topic, message) for every update. */
export function follow(publish) {
  const url = `${process.env.BINANCE_WS_URL}/stream?streams=${streams.join("/")}`;
  const stream = new WebSocket(url, { perMessageDeflate: false });
  stream.on("message", (data) => {
    const { k: kline } = JSON.parse(data).data;
    publish(topicOf(kline.s, kline.i), encode(kline));
  });
}
