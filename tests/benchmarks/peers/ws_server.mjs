// Node's usual WebSocket server: `ws`, which has no topics, so each series keeps a set of clients.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { follow, topicOf } from "./feed.mjs";

const TEXT = { binary: false };
const subscribers = new Map();

function subscribe(client, topic) {
  if (!subscribers.has(topic)) subscribers.set(topic, new Set());
  subscribers.get(topic).add(client);
}

const http = createServer((_, response) => response.end("{}")); // GET /ready
const server = new WebSocketServer({ server: http, clientTracking: false });
server.on("connection", (client) => {
  client.on("message", (data) => {
    for (const { symbol, interval } of JSON.parse(data).subscriptions) {
      subscribe(client, topicOf(symbol, interval));
    }
    client.send('{"type":"subscribed"}');
  });
  client.on("close", () => subscribers.forEach((clients) => clients.delete(client)));
});
http.listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 4096 });

follow((topic, message) => {
  const data = Buffer.from(message); // encoded once, not once a client
  for (const client of subscribers.get(topic) ?? []) client.send(data, TEXT);
});
