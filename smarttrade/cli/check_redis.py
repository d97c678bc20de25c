"""Whether Redis answers, for `smarttrade check`."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

import trio

from ..settings import DEFAULT_REDIS_URL, Settings
from ..settings.values import masked
from .check_result import CheckResult, Level
from .error_text import root_cause_text

REDIS_TIMEOUT = 3.0  # seconds


async def check_redis(settings: Settings) -> Sequence[CheckResult]:
    if settings.use_memory_store:
        return [CheckResult(Level.OK, "redis", "not used: candles are kept in memory")]
    url = settings.redis_url or DEFAULT_REDIS_URL
    problem = await _ping_redis(urlsplit(url))
    if problem is None:
        return [CheckResult(Level.OK, "redis", f"{masked(url)}: answers")]
    if settings.redis_url is not None:
        return [CheckResult(Level.FAIL, "redis", f"{masked(url)}: {problem}")]
    return [CheckResult(Level.WARN, "redis", f"none at {url}: candles are kept in memory only")]


async def _ping_redis(url: SplitResult) -> str | None:
    """What is wrong with it, or None."""
    commands = [_command("PING")]
    if url.password:
        login = (
            (unquote(url.username), unquote(url.password))
            if url.username
            else (unquote(url.password),)
        )
        commands.insert(0, _command("AUTH", *login))
    try:
        with trio.fail_after(REDIS_TIMEOUT):
            answers = await _exchange_lines(url, commands)
    except trio.TooSlowError:
        return f"no answer in {REDIS_TIMEOUT:g} s"
    except (OSError, trio.BrokenResourceError) as error:
        return root_cause_text(error)
    bad = [answer for answer in answers if not answer.startswith("+")]
    return bad[0].lstrip("-") if bad else None


async def _exchange_lines(url: SplitResult, commands: Sequence[bytes]) -> Sequence[str]:
    stream = await _connect(url)
    received = b""
    try:
        await stream.send_all(b"".join(commands))
        while received.count(b"\r\n") < len(commands):
            data = await stream.receive_some()
            if not data:
                raise trio.BrokenResourceError("it closed the connection")
            received += data
    finally:
        await trio.aclose_forcefully(stream)
    return received.decode(errors="replace").split("\r\n")[: len(commands)]


async def _connect(url: SplitResult) -> trio.abc.Stream:
    if url.scheme == "unix":
        return await trio.open_unix_socket(url.path)
    host, port = url.hostname or "localhost", url.port or 6379
    if url.scheme == "rediss":
        return await trio.open_ssl_over_tcp_stream(host, port)
    return await trio.open_tcp_stream(host, port)


def _command(*words: str) -> bytes:
    """Source: redis.io, "Redis serialization protocol specification", arrays of bulk strings."""
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()
