"""Messages that are sent to the store before it has started.

It starts after what fills it: with the first windows it can answer clients at once.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from actors import Mailbox

from .messages import StoreMessage


async def tell_or_start(
    store: Mailbox[StoreMessage], message: StoreMessage, start: Callable[[], None]
) -> None:
    """Call `start` before waiting for room: the store starts then, and makes some."""
    try:
        store.tell_nowait(message)
    except trio.WouldBlock:
        start()
        await store.tell(message)
