"""What a competent user would build instead: FastAPI on uvicorn, uvloop and `websockets`.

It follows the same exchange and speaks as much of the same protocol as the load needs. Updates are
encoded once and sent to each subscriber with `send_text`. Candles are kept as dicts in memory, or
with `PEER_REDIS_URL` as one JSON text a candle in a list of Redis.

    GET /candles/{symbol}/{interval}         returns a dict, as FastAPI's documentation does
    GET /tuned/candles/{symbol}/{interval}   encodes it by itself with orjson, past FastAPI
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import redis.asyncio
import uvicorn
from fastapi import FastAPI, HTTPException, Response, WebSocket, WebSocketDisconnect
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware

from tests.benchmarks.peers.feed import SERIES, Candle, Series, encode, updates

REST_URL = os.environ["BINANCE_REST_URL"]
REDIS_URL = os.environ.get("PEER_REDIS_URL")
WINDOW = 1000

windows: dict[Series, deque[Candle]] = {}
subscribers: dict[Series, set[WebSocket]] = defaultdict(set)
database = redis.asyncio.Redis.from_url(REDIS_URL) if REDIS_URL else None


# -- The exchange -----------------------------------------------------------------------------


async def read_history(http: httpx.AsyncClient, series: Series) -> None:
    symbol, interval = series
    answer = await http.get(
        f"{REST_URL}/api/v3/klines",
        params={"symbol": symbol, "interval": interval, "limit": WINDOW},
    )
    names = ("open", "high", "low", "close", "volume")
    candles = [
        {"time": row[0] // 1000} | {name: float(row[at]) for at, name in enumerate(names, 1)}
        for row in orjson.loads(answer.content)
    ]
    windows[series] = deque(candles, maxlen=WINDOW)
    if database is not None:
        key = f"candles:{symbol}:{interval}"
        async with database.pipeline() as pipe:
            pipe.delete(key)
            pipe.rpush(key, *map(orjson.dumps, candles))
            await pipe.execute()


async def follow() -> None:
    async for series, candle, closed in updates():
        await publish(series, candle, closed=closed)


async def publish(series: Series, candle: Candle, *, closed: bool) -> None:
    window = windows[series]
    is_same = bool(window) and window[-1]["time"] == candle["time"]
    if is_same:
        window[-1] = candle
    else:
        window.append(candle)
    if database is not None:
        key, stored = f"candles:{series[0]}:{series[1]}", orjson.dumps(candle)
        if is_same:
            await database.lset(key, -1, stored)  # type: ignore[misc, arg-type, unused-ignore]
        else:
            async with database.pipeline() as pipe:
                pipe.rpush(key, stored)
                pipe.ltrim(key, -WINDOW, -1)
                await pipe.execute()
    if not subscribers[series]:
        return
    text = encode(series, candle, closed=closed).decode()
    for subscriber in tuple(subscribers[series]):
        try:
            await subscriber.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            subscribers[series].discard(subscriber)


# -- Clients ----------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=20)) as http:
        await asyncio.gather(*(read_history(http, series) for series in SERIES))
    following = asyncio.create_task(follow())
    yield
    following.cancel()


async def ready() -> dict[str, str]:
    return {"status": "ready"}


async def page(symbol: str, interval: str, limit: int) -> dict[str, Any]:
    if (symbol, interval) not in windows:
        raise HTTPException(404)
    if database is not None:
        key = f"candles:{symbol}:{interval}"
        texts = await database.lrange(key, -limit, -1)  # type: ignore[misc, unused-ignore]
        candles = [orjson.loads(text) for text in texts]
    else:
        candles = list(windows[symbol, interval])[-limit:]
    return {"symbol": symbol, "interval": interval, "candles": candles}


async def get_candles(symbol: str, interval: str, limit: int = 500) -> dict[str, Any]:
    return await page(symbol, interval, limit)


async def get_candles_tuned(symbol: str, interval: str, limit: int = 500) -> Response:
    body = orjson.dumps(await page(symbol, interval, limit))
    return Response(body, media_type="application/json")


async def serve(websocket: WebSocket) -> None:
    await websocket.accept()
    mine: set[Series] = set()
    try:
        while True:
            request = await websocket.receive_json()
            mine |= {(wish["symbol"], wish["interval"]) for wish in request["subscriptions"]}
            for series in mine:
                subscribers[series].add(websocket)
            await websocket.send_text('{"type":"subscribed"}')
    except WebSocketDisconnect:
        pass
    finally:
        for series in mine:
            subscribers[series].discard(websocket)


def create_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.add_api_route("/ready", ready)
    app.add_api_route("/candles/{symbol}/{interval}", get_candles)
    app.add_api_route("/tuned/candles/{symbol}/{interval}", get_candles_tuned)
    app.add_api_websocket_route("/ws/candles", serve)
    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(),
        port=int(os.environ["PORT"]),
        loop="uvloop",
        ws=os.environ.get("PEER_WS", "auto"),  # type: ignore[arg-type, unused-ignore]
        log_level="warning",
        ws_ping_interval=None,  # the load answers no pings
        backlog=4096,
    )
