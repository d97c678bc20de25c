"""Confirms over REST that a connection does not deliver a series, and has it replaced."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
import trio

from actors import Backoff

from ..market.candle import Candle
from ..market.series import Series
from ..store.messages import PutHistory
from .errors import ExchangeRefused, ExchangeUnavailable
from .stall_detector import DELIVERY_GRACE, StallDetector
from .stream_context import StreamContext
from .weight import Purpose

logger = structlog.get_logger("feed.stream")

CHECK_INTERVAL = 2.0  # seconds between two checks for suspects

CONFIRM_TIMEOUT = 20.0
"""Seconds for the REST read of a suspect. It may have to wait for a host for longer than that."""

REPLACEMENT_BACKOFF = Backoff(first=30.0, max_pause=600.0)
"""Seconds between two replacements. If the exchange itself does not send a series, another
connection does not help, and REST reads bring what there is."""

_Read = tuple[Series, Candle, float]
"""A series, the candle that REST had last, and when."""


class StallWatch:
    """Reads the suspects of `detector` over REST, and passes what was read to the store."""

    def __init__(self, detector: StallDetector, context: StreamContext) -> None:
        self._detector = detector
        self._context = context
        self._is_unconfirmed = False
        """Whether REST answered for none of the last suspects."""

    async def run(
        self, is_connected: Callable[[], bool], replace_connection: Callable[[], None]
    ) -> None:
        """Call `replace_connection` when the stream does not deliver a series, until cancelled."""
        replacements = 0
        keep_until = float("-inf")
        while True:
            await trio.sleep(CHECK_INTERVAL)
            if not is_connected():
                continue
            now, stalled = trio.current_time(), list[Series]()
            if now < keep_until or not self._is_silent():
                stalled = await self._confirm(self._detector.suspects(now))
                self._context.counters.stalled += len(stalled)
            now = trio.current_time()
            if now < keep_until or not (stalled or self._is_silent()):
                continue
            if now > keep_until + REPLACEMENT_BACKOFF.max_pause:
                replacements = 0
            replacements += 1
            keep_until = now + REPLACEMENT_BACKOFF.pause(replacements, random.random())
            names = ", ".join(map(str, stalled)) or "all, and REST does not answer"
            logger.warning("stream_stalled", series=names, action="another connection")
            replace_connection()

    def _is_silent(self) -> bool:
        return self._is_unconfirmed and self._detector.is_silent(trio.current_time())

    async def _confirm(self, suspects: Sequence[Series]) -> list[Series]:
        """Which of `suspects` are stalled. They are read at once: each may have to wait."""
        if not suspects:
            return []
        reads: list[_Read] = []
        self._is_unconfirmed = True
        async with trio.open_nursery() as nursery:
            for series in suspects:
                nursery.start_soon(self._read_into, reads, series)
        if not reads:
            return []
        await trio.sleep(DELIVERY_GRACE)
        return [each for each, row, at in reads if self._detector.is_stalled(each, row, at)]

    async def _read_into(self, reads: list[_Read], series: Series) -> None:
        rows = await self._read(series)
        if rows is not None:
            self._is_unconfirmed = False
        if rows:
            await self._context.store.tell(PutHistory(series, rows, rows[0].open_time))
            reads.append((series, rows[-1], trio.current_time()))

    async def _read(self, series: Series) -> Sequence[Candle] | None:
        """The newest candles; None when REST does not answer."""
        with suppress(ExchangeUnavailable), trio.move_on_after(CONFIRM_TIMEOUT):
            try:
                return await self._context.rest.klines(series, limit=2, purpose=Purpose.CHECK)
            except ExchangeRefused:
                return []
        return None
