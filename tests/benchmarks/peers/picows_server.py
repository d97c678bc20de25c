"""picows: WebSockets in Cython, on uvloop. It has no topics, so each series keeps a set of clients."""

from __future__ import annotations

import os
from collections import defaultdict

import orjson
import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from tests.benchmarks.peers.feed import SERIES, Series, encode, updates

subscribers: dict[Series, set[WSTransport]] = defaultdict(set)


class Client(WSListener):  # type: ignore[misc, unused-ignore]
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            transport.disconnect()
            return
        request = orjson.loads(frame.get_payload_as_bytes())
        for wish in request["subscriptions"]:
            subscribers[wish["symbol"], wish["interval"]].add(transport)
        transport.send(WSMsgType.TEXT, b'{"type":"subscribed"}')

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for series in SERIES:
            subscribers[series].discard(transport)


def route(request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
    if request.path == b"/ready":
        response = WSUpgradeResponse.create_ok_response(b"{}")
        return WSUpgradeResponseWithListener(response, None)
    return Client()


async def main() -> None:
    await ws_create_server(route, "127.0.0.1", int(os.environ["PORT"]), backlog=4096)
    async for series, candle, closed in updates():
        message = encode(series, candle, closed=closed)
        for transport in subscribers[series]:
            transport.send(WSMsgType.TEXT, message)


if __name__ == "__main__":
    uvloop.run(main())
