"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Self

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from . import rest
from .errors import ServerUnavailable
from .events import Candle, Event
from .following import CLOSE_TIMEOUT, CONNECT_TIMEOUT, MAX_MESSAGE, Following, Series
from .loss import Loss, loss_of


class Client:
    """A SmartTrade server, for programs that may block.

    `url` is the server's address, `http://127.0.0.1:8000`; `token` is that of a server with tokens.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._websocket_url = rest.websocket_url(url)
        self._headers = rest.headers_of(token)
        self._http = httpx.Client(
            base_url=rest.base_url(url), headers=self._headers, timeout=rest.TIMEOUT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def symbols(self) -> list[str]:
        return rest.read_names(self._get("symbols"), "symbols")

    def intervals(self) -> list[str]:
        return rest.read_names(self._get("intervals"), "intervals")

    def candles(
        self, symbol: str, interval: str, *, limit: int = 500, before: int | None = None
    ) -> list[Candle]:
        """The newest candles, or the newest that open before a time, oldest first; at most 1000.

        Raises:
            ServerUnavailable: there is no answer within 15 s.
            RequestFailed: the server refused the request.
        """
        query = rest.candles_query(limit, before)
        return rest.read_candles(self._get(rest.candles_path(symbol, interval), query))

    def follow(
        self, series: Iterable[Series], *, snapshot: int = 1
    ) -> Generator[Event, None, None]:
        """Candles of some series as they come, beginning with the newest `snapshot` of each.

        After a lost connection it reconnects by itself and goes on where it was. Each step returns
        within 75 s whatever happens: with a `Status` when there is no candle.

        Raises:
            SubscriptionRefused: the server does not have one of the series.
            SessionRefused: the server forbids another connection.
        """
        following = Following(series, snapshot)
        while True:
            began = time.monotonic()
            loss = yield from self._connection(following)
            status, pause = following.lost(loss.reason, loss.code, time.monotonic() - began)
            yield status
            time.sleep(pause)

    def _connection(self, following: Following) -> Generator[Event, None, Loss]:
        try:
            with connect(
                self._websocket_url,
                additional_headers=self._headers,
                open_timeout=CONNECT_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                compression=None,
                max_size=MAX_MESSAGE,
            ) as websocket:
                while True:
                    events = following.receive(websocket.recv(following.silence_timeout))
                    if request := following.request():
                        websocket.send(request)
                    yield from events
        except (OSError, ConnectionClosed, WebSocketException) as error:
            return loss_of(error)

    def _get(self, path: str, query: dict[str, int] | None = None) -> httpx.Response:
        """A whole answer: httpx's own limit is for each read, not for all of them."""
        deadline = time.monotonic() + rest.TIMEOUT
        try:
            with self._http.stream("GET", path, params=query) as answer:
                body = bytearray()
                for part in answer.iter_raw():
                    body += part
                    if time.monotonic() > deadline:
                        raise ServerUnavailable(f"no whole answer within {rest.TIMEOUT:.0f} s")
        except httpx.TransportError as error:
            raise ServerUnavailable(rest.reason_of(error)) from error
        return httpx.Response(answer.status_code, headers=answer.headers, content=bytes(body))
