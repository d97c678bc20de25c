import type { CandleUpdate } from "./models/CandleUpdate";
import type { Request } from "./models/Request";
import type { Snapshot } from "./models/Snapshot";
import type { Subscribed } from "./models/Subscribed";
import type { Welcome } from "./models/Welcome";

declare const process: { argv: string[]; exit(code: number): never };
type Message = CandleUpdate | Snapshot | Subscribed | Welcome;

const socket = new WebSocket(process.argv[2] ?? "");
const request: Request = {
  action: "subscribe",
  id: 7,
  subscriptions: [{ symbol: "BTCUSDT", interval: "1m", snapshot: 3 }],
};
const seen: string[] = [];
socket.onopen = () => socket.send(JSON.stringify(request));
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data) as Message;
  switch (message.type) {
    case "welcome":
      seen.push(`heartbeat ${message.heartbeat}`);
      break;
    case "subscribed":
      seen.push(`subscribed ${message.subscriptions.length} ${message.errors.length}`);
      break;
    case "snapshot":
      seen.push(`snapshot ${message.candles.length}`);
      break;
    case "candle":
      console.log(JSON.stringify([...seen, `candle ${typeof message.candle.close} ${message.closed}`]));
      process.exit(0);
  }
};
