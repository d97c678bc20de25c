"""Which host of the exchange answers, and what its clock shows, asked once at the start."""

from __future__ import annotations

from typing import NamedTuple

import structlog
import trio

from .errors import ExchangeError
from .subtree import VenueAccess

logger = structlog.get_logger("feed.identity")

IDENTIFY_TIMEOUT = 2.0
"""Seconds. Without an answer the start goes on: what is stored is served while the exchange is
away, and checked against its clock as soon as it reports one."""


class Identity(NamedTuple):
    url: str
    """Of the host that answered."""
    time: int
    """What its clock shows, in ms since the epoch."""


async def identify(access: VenueAccess) -> Identity | None:
    """Ask the hosts in turn for their time; None when none answers in time."""
    rest = access.rest_client(None)
    with trio.move_on_after(IDENTIFY_TIMEOUT):
        try:
            time = await rest.server_time()
        except ExchangeError as error:
            logger.warning("exchange_unavailable", error=str(error))
            return None
        return Identity(rest.endpoint, time)
    logger.warning("exchange_unavailable", error=f"no answer in {IDENTIFY_TIMEOUT:.0f} s")
    return None
