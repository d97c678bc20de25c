"""The client for Trio; needs the extra `trio`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    connect_websocket_url,
)

from .async_rest import AsyncRest
from .events import Event
from .following import CLOSE_TIMEOUT, CONNECT_TIMEOUT, MAX_MESSAGE, Following, Series
from .loss import Loss

WAITING_EVENTS = 100  # between the connection and a consumer that is slower
WAITING_MESSAGES = 256  # so that the library goes on answering pings

Sender = trio.MemorySendChannel[Event]


class TrioClient(AsyncRest):
    """A SmartTrade server, for Trio; see `Client`."""

    @asynccontextmanager
    async def follow(
        self, series: Iterable[Series], *, snapshot: int = 1
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """See `Client.follow`. The connection is closed at the end of the block.

        What `Client.follow` raises comes out of the block, in an exception group as from a nursery.
        """
        sender, receiver = trio.open_memory_channel[Event](WAITING_EVENTS)
        async with receiver, trio.open_nursery() as nursery:
            nursery.start_soon(self._run, Following(series, snapshot), sender)
            yield receiver
            nursery.cancel_scope.cancel()

    async def _run(self, following: Following, sender: Sender) -> None:
        # Closed without a checkpoint: the consumer ends then, and would cancel an error that is on
        # its way out.
        with sender:
            while True:
                began = trio.current_time()
                loss = await self._connection(following, sender)
                status, pause = following.lost(loss.reason, loss.code, trio.current_time() - began)
                await sender.send(status)
                await trio.sleep(pause)

    async def _connection(self, following: Following, sender: Sender) -> Loss:
        """Receive until the connection is lost.

        The library's own context manager can wait for a server that never closes its side; so the
        nursery is ours, and is cancelled.
        """
        loss = Loss("no connection")
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(CONNECT_TIMEOUT):
                    websocket = await connect_websocket_url(
                        nursery,
                        self._websocket_url,
                        extra_headers=[(k.encode(), v.encode()) for k, v in self._headers.items()],
                        message_queue_size=WAITING_MESSAGES,
                        max_message_size=MAX_MESSAGE,
                    )
                try:
                    await _receive(websocket, following, sender)
                finally:
                    with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                        await websocket.aclose()
            except (OSError, HandshakeError, ConnectionClosed, trio.TooSlowError) as error:
                loss = _loss_of(error)
            nursery.cancel_scope.cancel()
        return loss


async def _receive(websocket: WebSocketConnection, following: Following, sender: Sender) -> None:
    while True:
        with trio.fail_after(following.silence_timeout):
            text = await websocket.get_message()
        events = following.receive(text)
        if request := following.request():
            with trio.fail_after(CONNECT_TIMEOUT):
                await websocket.send_message(request)
        for event in events:
            await sender.send(event)


def _loss_of(error: Exception) -> Loss:
    if isinstance(error, ConnectionClosed) and error.reason is not None:
        return Loss(error.reason.reason or f"closed with {error.reason.code}", error.reason.code)
    if isinstance(error, trio.TooSlowError):
        return Loss("no message in time")
    if isinstance(error, ConnectionRejected):
        return Loss(f"refused with status {error.status_code}")
    return Loss(str(error) or type(error).__name__)
