"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .async_rest import AsyncRest
from .events import Event
from .following import CLOSE_TIMEOUT, CONNECT_TIMEOUT, MAX_MESSAGE, Following, Series
from .loss import loss_of


class AsyncioClient(AsyncRest):
    """A SmartTrade server, for asyncio; see `Client`."""

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
