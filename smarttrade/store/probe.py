"""Whether a Redis answers, asked without the library, which takes long to import."""

from __future__ import annotations

from urllib.parse import urlsplit

import trio

PROBE_TIMEOUT = 0.5  # seconds; it is on this machine if it is anywhere


async def redis_answers(url: str) -> bool:
    """Whether what listens at `url`, which names no password, is a Redis without a password."""
    parts = urlsplit(url)
    with trio.move_on_after(PROBE_TIMEOUT):
        try:
            stream = await trio.open_tcp_stream(parts.hostname or "localhost", parts.port or 6379)
        except OSError:
            return False
        async with stream:
            try:
                await stream.send_all(b"PING\r\n")
                return bytes(await stream.receive_some()).startswith(b"+PONG")
            except trio.BrokenResourceError:
                return False
    return False
