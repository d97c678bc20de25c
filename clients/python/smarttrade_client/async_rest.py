"""REST for asyncio and Trio alike: httpx runs on both, by AnyIO."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
import httpx

from . import rest
from .errors import ServerUnavailable
from .events import Candle


class AsyncRest:
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

    async def _get(self, path: str, query: dict[str, int] | None = None) -> httpx.Response:
        try:
            with anyio.fail_after(rest.TIMEOUT):
                return await self._http.get(path, params=query)
        except (httpx.TransportError, TimeoutError) as error:
            raise ServerUnavailable(rest.reason_of(error)) from error
