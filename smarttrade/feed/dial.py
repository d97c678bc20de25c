"""The type of what opens a stream connection's bytes.

The wiring passes `Network.dial`, and a test one that connects to an exchange in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens the byte stream for a `ws://` or `wss://` URL; the caller closes it.

Raises `OSError` or `trio.BrokenResourceError` when it cannot. The caller bounds how long it takes.
"""
