// The package in Node, with a server made of JavaScript; how it behaves in browsers is tested in
// tests/browser/test_client.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SmartTradeClient, fetchSymbols, priceFormat } from "../../../smarttrade/web/static/smarttrade-client.js";

class FakeSocket {
  static opened = [];
  readyState = 0;
  sent = [];
  constructor(url) {
    this.url = url;
    FakeSocket.opened.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  say(message) {
    this.readyState = 1;
    this.onmessage({ data: JSON.stringify(message) });
  }
}

const bar = (time) => ({ time, open: 1, high: 1, low: 1, close: 1, volume: 1 });
const series = { symbol: "BTCUSDT", interval: "1m" };

function connected(context, onState) {
  context.mock.timers.enable({ apis: ["Date", "setTimeout", "setInterval"] });
  const client = new SmartTradeClient("ws://server/ws/candles", { WebSocket: FakeSocket, onState });
  context.after(() => client.close());
  const socket = FakeSocket.opened.at(-1);
  socket.say({ type: "welcome", heartbeat: 25, simulated: true });
  socket.say({ type: "status", feed: "live", since: 1 });
  return { client, socket };
}

test("follows a series with a WebSocket that is given", (context) => {
  const calls = [];
  const { client, socket } = connected(context);
  client.subscribe("BTCUSDT", "1m", {
    snapshot: 2,
    onReset: (candles) => calls.push(["reset", candles.length]),
    onUpdate: ({ time }, { closed }) => calls.push(["update", time, closed]),
  });
  context.mock.timers.tick(300);
  assert.deepEqual(socket.sent.at(-1), { action: "subscribe", subscriptions: [{ ...series, snapshot: 2 }] });
  socket.say({ type: "snapshot", ...series, candles: [bar(60), bar(120)], closed: false, truncated: false });
  socket.say({ type: "candle", ...series, candle: bar(180), closed: true });
  assert.deepEqual(calls, [["reset", 2], ["update", 180, true]]);
  assert.equal(client.state.simulated, true);
});

test("the final state of a candle that comes after the next one is a correction", (context) => {
  const calls = [];
  const { client, socket } = connected(context);
  const note = (kind) => ({ time }, { closed, corrected }) => calls.push([kind, time, closed, corrected]);
  client.subscribe("BTCUSDT", "1m", { snapshot: 1, onReset() {}, onUpdate: note("update"), onCorrect: note("correct") });
  context.mock.timers.tick(300);
  socket.say({ type: "snapshot", ...series, candles: [bar(60)], closed: false, truncated: false });
  socket.say({ type: "candle", ...series, candle: bar(120), closed: false });
  socket.say({ type: "candle", ...series, candle: bar(60), closed: true, corrected: true });
  assert.deepEqual(calls, [["update", 120, false, false], ["correct", 60, true, true]]);
});

test("so it is when it comes with the snapshot after a lost connection", (context) => {
  const calls = [];
  const { client, socket } = connected(context);
  const note = (kind) => ({ time }, { closed, corrected }) => calls.push([kind, time, closed, corrected]);
  client.subscribe("BTCUSDT", "1m", { snapshot: 1, onReset() {}, onUpdate: note("update"), onCorrect: note("correct") });
  context.mock.timers.tick(300);
  const first = { type: "snapshot", ...series, candles: [bar(0), bar(60)], closed: false, truncated: false };
  socket.say(first);
  socket.say({ type: "candle", ...series, candle: bar(120), closed: false });
  socket.onclose({ code: 1001, reason: "" });
  context.mock.timers.tick(600);
  const next = FakeSocket.opened.at(-1);
  next.say({ type: "welcome", heartbeat: 25, simulated: true });
  assert.deepEqual(next.sent.at(-1), { action: "subscribe", subscriptions: [{ ...series, since: 60 }] });
  calls.length = 0;
  next.say({ ...first, candles: [bar(60), bar(120), bar(180)] });
  assert.deepEqual(calls, [["correct", 60, true, true], ["update", 120, true, false], ["update", 180, false, false]]);
});

test("a silent server is pinged, reported and, after its heartbeats, left", (context) => {
  const { client, socket } = connected(context);
  context.mock.timers.tick(2500);
  assert.deepEqual(socket.sent.at(-1), { action: "ping" });
  assert.equal(client.state.silent, false);
  context.mock.timers.tick(2000);
  assert.equal(client.state.silent, true);
  socket.say({ type: "pong", id: null });
  assert.equal(client.state.silent, false);
  context.mock.timers.tick(63_500);
  assert.equal(client.state.phase, "waiting");
});

test("price formats come from the tick size", async (context) => {
  const details = [{ symbol: "BTCUSDT", status: "TRADING", tick_size: 0.01, decimals: 2 }];
  context.mock.method(globalThis, "fetch", async (url) => {
    assert.equal(String(url), "http://server/prefix/symbols?details=1");
    return { ok: true, json: async () => ({ symbols: ["BTCUSDT"], details }) };
  });
  const [found] = await fetchSymbols("http://server/prefix");
  assert.deepEqual(priceFormat(found), { type: "price", precision: 2, minMove: 0.01 });
  assert.deepEqual(priceFormat({ tickSize: null, decimals: null }), { type: "price", precision: 8, minMove: 1e-8 });
});
