"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from . import rest
from .errors import ServerUnavailable
from .events import Candle, Event
from .following import CLOSE_TIMEOUT, CONNECT_TIMEOUT, MAX_MESSAGE, Following, Series
from .loss import loss_of


class AsyncioClient:
    """A SmartTrade server, for asyncio; see `Client`."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._websocket_url = rest.websocket_url(url)
        self._headers = rest.headers_of(token)
        self._http = httpx.AsyncClient(
            base_url=rest.base_url(url), headers=self._headers, timeout=rest.TIMEOUT
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def symbols(self) -> list[str]:
        return rest.read_names(await self._get("symbols"), "symbols")

    async def intervals(self) -> list[str]:
        return rest.read_names(await self._get("intervals"), "intervals")

    async def candles(
        self, symbol: str, interval: str, *, limit: int = 500, before: int | None = None
    ) -> list[Candle]:
        """See `Client.candles`."""
        query = rest.candles_query(limit, before)
        return rest.read_candles(await self._get(rest.candles_path(symbol, interval), query))

    @asynccontextmanager
    async def follow(
        self, series: Iterable[Series], *, snapshot: int = 1
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Client.follow`. The connection is closed at the end of the block."""
        async with aclosing(self._events(Following(series, snapshot))) as events:
            yield events

    async def _events(self, following: Following) -> AsyncGenerator[Event, None]:
        while True:
            began = time.monotonic()
            try:
                async with connect(
                    self._websocket_url,
                    additional_headers=self._headers,
                    open_timeout=CONNECT_TIMEOUT,
                    close_timeout=CLOSE_TIMEOUT,
                    compression=None,
                    max_size=MAX_MESSAGE,
                ) as websocket:
                    while True:
                        text = await asyncio.wait_for(websocket.recv(), following.silence_timeout)
                        events = following.receive(text)
                        if request := following.request():
                            await asyncio.wait_for(websocket.send(request), CONNECT_TIMEOUT)
                        for event in events:
                            yield event
            except (OSError, ConnectionClosed, WebSocketException) as error:
                loss = loss_of(error)
            status, pause = following.lost(loss.reason, loss.code, time.monotonic() - began)
            yield status
            await asyncio.sleep(pause)

    async def _get(self, path: str, query: dict[str, int] | None = None) -> httpx.Response:
        try:
            async with asyncio.timeout(rest.TIMEOUT):
                return await self._http.get(path, params=query)
        except (httpx.TransportError, TimeoutError) as error:
            raise ServerUnavailable(rest.reason_of(error)) from error
