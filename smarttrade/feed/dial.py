"""How a stream connection's bytes get to the exchange.

A seam: the wiring passes `Network.dial`, and a test one that leads to an exchange in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens the byte stream for a `ws://` or `wss://` URL; the caller closes it.

Raises `OSError` or `trio.BrokenResourceError` when it cannot. It may take as long as it takes: the
caller limits it.
"""
