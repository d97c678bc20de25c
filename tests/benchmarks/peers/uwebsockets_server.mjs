// uWebSockets, in C++, as an addon of Node: the server publishes to topics.

import uWS from "uwebsockets";
import { follow, topicOf } from "./feed.mjs";

const app = uWS.App();
app.ws("/ws/candles", {
  // By default a client with 64 KB pending silently loses updates.
  maxBackpressure: 16 * 1024 * 1024,
  // The load answers no pings.
  idleTimeout: 0,
  sendPingsAutomatically: false,
  message(client, data) {
    for (const { symbol, interval } of JSON.parse(Buffer.from(data)).subscriptions) {
      client.subscribe(topicOf(symbol, interval));
    }
    client.send('{"type":"subscribed"}');
  },
});
app.get("/ready", (response) => response.end("{}"));
app.listen("127.0.0.1", Number(process.env.PORT), (socket) => {
  if (!socket) process.exit(1);
});

follow((topic, message) => app.publish(topic, message));
