"""A running stream without a record of how many connections are open."""

from __future__ import annotations

from functools import partial

from trio.testing import wait_all_tasks_blocked

from smarttrade.market.series import Series
from tests.fakes.exchange_streams import (
    MINUTE,
    kline,
)
from tests.fakes.running_stream import (
    running_stream,
)

unwatched_stream = partial(running_stream, watched=False)


async def calm() -> None:
    await wait_all_tasks_blocked()


def state(series: Series, second: int) -> str:
    """Seconds 0 to 59 belong to the first minute, and the last one closes it."""
    minute, within = divmod(second, 60)
    return kline(
        series,
        minute * MINUTE,
        1.0 + within,
        closed=within == 59,
        event_time=second * 1000 + 1,
    )
